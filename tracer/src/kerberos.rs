//! Messages of Kerberos (RFC 4120): of which kind one is, and what an error says. Nothing else of one is read.

use kerberos_parser::krb5::{KrbError, PrincipalName};
use x509_parser::prelude::FromDer;

/// Port of a KDC, by TCP and UDP.
pub const PORT: u16 = 88;

/// Bytes before a message on TCP: its length (section 7.2.2).
const LENGTH: usize = 4;
/// Bytes of a name that is kept; a longer one is no service's.
const LONGEST: usize = 512;
/// The first byte of each kind: `[APPLICATION n]`, constructed.
const AS_REQ: u8 = 0x6A;
const AS_REP: u8 = 0x6B;
const TGS_REQ: u8 = 0x6C;
const TGS_REP: u8 = 0x6D;
const KRB_ERROR: u8 = 0x7E;

/// Error codes that mean something here (section 7.5.9).
pub mod code {
    /// The service is not known.
    pub const SERVICE_UNKNOWN: i32 = 7;
    /// The client is to prove first who it is: what every login begins with.
    pub const PROOF_NEEDED: i32 = 25;
    /// The clocks are too far apart.
    pub const CLOCK_SKEW: i32 = 37;
    /// The answer does not fit into a datagram: to be asked again by TCP.
    pub const TOO_LONG: i32 = 52;
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Asks for a ticket, of whatever kind.
    Question,
    /// A ticket.
    Ticket,
    /// None is given; what is said of it, where it can be read.
    Error(Option<Refusal>),
}

/// Why no ticket is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// See [`code`].
    pub code: i32,
    /// The service that was asked for.
    pub service: Service,
}

#[cfg(test)]
impl Refusal {
    /// Of a ticket for a SQL Server there.
    pub(crate) fn for_sql_server(code: i32, place: &str) -> Self {
        let service = Service(vec!["MSSQLSvc".to_owned(), place.to_owned()]);
        Self { code, service }
    }
}

/// The name of a service, by its parts: `MSSQLSvc` and `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service(Vec<String>);

impl Service {
    /// As it is written.
    pub fn name(&self) -> String {
        self.0.join("/")
    }

    /// Whether it is a SQL Server's.
    pub fn is_sql_server(&self) -> bool {
        let class = self.0.first();
        class.is_some_and(|class| class.eq_ignore_ascii_case("MSSQLSvc"))
    }

    /// Whether no SQL Server registers such a name: without a host, with an address in its place, or with what
    /// belongs into a connection string.
    pub fn is_malformed(&self) -> bool {
        let [_, place] = &self.0[..] else {
            return true;
        };
        let (host, port) = place.split_once(':').unwrap_or((place, ""));
        let is_odd = |text: &str| text.contains(['\\', ',', ' ', ':', '[']);
        let is_address = host.parse::<std::net::IpAddr>().is_ok();
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let no_port = is_number && port.parse::<u16>().map_or(true, |port| port == 0);
        host.is_empty()
            || place.ends_with(':')
            || is_address
            || is_odd(host)
            || is_odd(port)
            || no_port
    }
}

/// Reads a datagram.
pub fn datagram(bytes: &[u8]) -> Option<Message> {
    Some(match *bytes.first()? {
        AS_REQ | TGS_REQ => Message::Question,
        AS_REP | TGS_REP => Message::Ticket,
        KRB_ERROR => Message::Error(refusal(bytes)),
        _ => return None,
    })
}

/// Reads what a direction of a TCP connection begins with.
pub fn stream(bytes: &[u8]) -> Option<Message> {
    datagram(bytes.get(LENGTH..)?)
}

fn refusal(bytes: &[u8]) -> Option<Refusal> {
    let (_, error) = KrbError::from_der(bytes).ok()?;
    let PrincipalName {
        mut name_string, ..
    } = error.sname;
    if name_string.iter().map(String::len).sum::<usize>() > LONGEST {
        name_string.clear();
    }
    Some(Refusal {
        code: error.error_code.0,
        service: Service(name_string),
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};

    use super::*;

    /// `MSSQLSvc/sql.lab.test:1433` is not known, as MIT's KDC says it.
    fn error() -> Vec<u8> {
        let general = |text: &str| tagged(0x1B, text.as_bytes());
        let number = |value: u8| tagged(0x02, &[value]);
        let names = [general("MSSQLSvc"), general("sql.lab.test:1433")].concat();
        let principal = [
            tagged(0xA0, &number(2)),
            tagged(0xA1, &tagged(0x30, &names)),
        ]
        .concat();
        let fields = [
            tagged(0xA0, &number(5)),
            tagged(0xA1, &number(30)),
            tagged(0xA4, &tagged(0x18, b"20261128154500Z")),
            tagged(0xA5, &number(9)),
            tagged(0xA6, &number(7)),
            tagged(0xA9, &general("LAB.TEST")),
            tagged(0xAA, &tagged(0x30, &principal)),
            tagged(0xAB, &general("LOOKING_UP_SERVER")),
        ]
        .concat();
        tagged(KRB_ERROR, &tagged(0x30, &fields))
    }

    fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
        let len = content.len() as u8;
        let head = if len < 0x80 {
            vec![tag, len]
        } else {
            vec![tag, 0x81, len]
        };
        [&head, content].concat()
    }

    fn service(place: &str) -> Service {
        Service(vec!["MSSQLSvc".to_owned(), place.to_owned()])
    }

    #[test]
    fn an_error_says_its_code_and_for_which_service() {
        let Some(Message::Error(Some(refusal))) = datagram(&error()) else {
            panic!("{:?}", datagram(&error()));
        };
        assert_eq!(refusal.code, code::SERVICE_UNKNOWN);
        assert_eq!(refusal.service.name(), "MSSQLSvc/sql.lab.test:1433");
        assert!(refusal.service.is_sql_server() && !refusal.service.is_malformed());
        let framed = [&[0, 0, 0, 200], &error()[..]].concat();
        assert_eq!(stream(&framed), datagram(&error()));
    }

    #[test]
    fn of_any_other_message_its_kind_is_known_and_no_more() {
        assert_eq!(datagram(&[AS_REQ]), Some(Message::Question));
        assert_eq!(datagram(&[TGS_REP, 0x82]), Some(Message::Ticket));
        let cut = error();
        assert_eq!(datagram(&cut[..40]), Some(Message::Error(None)));
        assert_eq!(datagram(b"GET / HTTP/1.1"), None);
        assert_eq!(stream(&[0, 0, 1]), None);
    }

    #[test]
    fn a_name_that_no_server_registers_is_malformed() {
        for good in [
            "sql1.lab.test",
            "sql1.lab.test:1433",
            "sql1.lab.test:SALES",
            "sql1",
        ] {
            assert!(!service(good).is_malformed(), "{good}");
        }
        for bad in [
            "",
            ":1433",
            "10.0.0.1:1433",
            "10.0.0.1",
            "sql1\\SALES",
            "sql1,1433",
            "sql1:0",
            "sql1:",
            "sql1:70000",
            "sql1:1433:1433",
        ] {
            assert!(service(bad).is_malformed(), "{bad}");
        }
        assert!(Service(vec!["MSSQLSvc".to_owned()]).is_malformed());
    }

    proptest! {
        #[test]
        fn nothing_panics_on_an_error_cut_and_altered(
            cut in any::<Index>(),
            changes in vec((any::<Index>(), any::<u8>()), 0..8),
        ) {
            let mut bytes = error();
            bytes.truncate(cut.index(bytes.len()) + 1);
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            datagram(&bytes);
            stream(&bytes);
        }
    }
}
