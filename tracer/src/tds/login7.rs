//! LOGIN7 (MS-TDS 2.2.6.4): who asks for what. Passwords are never read.

use std::ops::Range;

use super::{
    Malformed,
    reader::{Reader, slice, utf16},
    user_agent::UserAgent,
    version::TdsVersion,
};

/// What a LOGIN7 message says. A text that was not sent, or not seen, is `None`.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts of a message, not a state"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login7 {
    /// TDS version the client asks for. TDS 8.0 clients may put anything here.
    pub tds_version: TdsVersion,
    /// Packet size the client asks for, in bytes.
    pub packet_size: u32,
    /// Process id of the client on its own host.
    pub client_pid: u32,
    /// Integrated security: the login goes through SSPI.
    pub integrated_security: bool,
    /// `ApplicationIntent=ReadOnly`.
    pub read_only_intent: bool,
    /// The client changes its password with this login.
    pub change_password: bool,
    /// Feature extensions follow.
    pub extension: bool,
    /// Name of the client's host. Identifies a person's machine.
    pub host_name: Option<String>,
    /// SQL login name. Identifies a person.
    pub user_name: Option<String>,
    /// Name of the application.
    pub app_name: Option<String>,
    /// The server, as the client spelt it.
    pub server_name: Option<String>,
    /// `CltIntName`: the driver's name for itself.
    pub library: Option<String>,
    /// Language asked for.
    pub language: Option<String>,
    /// Database asked for.
    pub database: Option<String>,
    /// Declared length of the SSPI message, in bytes; zero when there is none.
    pub sspi_len: u32,
    /// Where the SSPI message lies in the body, as far as it was copied. Never kept, only looked
    /// at for its mechanism: see [`super::spnego`].
    pub sspi: Option<Range<usize>>,
    /// Feature extension ids in the order sent (MS-TDS 2.2.6.4, `FeatureOpt`).
    pub features: Vec<u8>,
    /// The SESSIONRECOVERY feature has the state of a session that was lost. It is never read.
    pub recovers: bool,
    /// The FEDAUTH feature, if sent.
    pub fedauth: Option<FedAuth>,
    /// What the driver says of itself, if it does.
    pub user_agent: Option<UserAgent>,
    /// The message was cut short: texts and features may be missing.
    pub truncated: bool,
}

/// The FEDAUTH feature's option byte, taken apart. The token behind it is never read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FedAuth {
    /// How the client gets its token; `None` when withheld, cut off or undefined.
    pub library: Option<FedAuthLibrary>,
    /// The client echoes the server's FEDAUTHREQUIRED.
    pub echo: bool,
}

/// `bFedAuthLibrary`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FedAuthLibrary {
    /// The token comes with LOGIN7.
    SecurityToken,
    /// The client fetches a token when the server says from where (ADAL, MSAL).
    Adal,
}

impl Login7 {
    /// Decodes the body of a LOGIN7 message.
    ///
    /// Fails when less than the numbers at its start arrived, or when the declared length could
    /// not even hold them.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let short = Malformed {
            at: body.len(),
            what: "LOGIN7 cut short inside its fixed part",
        };
        let mut reader = Reader::new(body);
        let length = reader.u32().ok_or(short)?;
        if (length as usize) < TEXTS || length > MAX_LEN {
            return Err(Malformed {
                at: 0,
                what: "LOGIN7 with an impossible length",
            });
        }
        let mut login = Self::fixed(&mut reader).ok_or(short)?;
        login.truncated = body.len() < length as usize;
        login.read_texts(body);
        login.locate_sspi(body);
        login.read_features(body);
        Ok(login)
    }

    /// Keeps only what another reading of the same message agrees with: what differs depends on
    /// bytes that were not seen.
    pub fn keep_common(&mut self, other: &Self) {
        fn text(mine: &mut Option<String>, other: Option<&String>) {
            if mine.as_ref() != other {
                *mine = None;
            }
        }
        text(&mut self.host_name, other.host_name.as_ref());
        text(&mut self.user_name, other.user_name.as_ref());
        text(&mut self.app_name, other.app_name.as_ref());
        text(&mut self.server_name, other.server_name.as_ref());
        text(&mut self.library, other.library.as_ref());
        text(&mut self.language, other.language.as_ref());
        text(&mut self.database, other.database.as_ref());
        if self.features != other.features {
            self.features = Vec::new();
        }
        if self.client_pid != other.client_pid {
            self.client_pid = 0;
        }
        if self.packet_size != other.packet_size {
            self.packet_size = 0;
        }
        self.integrated_security &= other.integrated_security;
        self.read_only_intent &= other.read_only_intent;
        self.change_password &= other.change_password;
        self.sspi_len = self.sspi_len.min(other.sspi_len);
        self.sspi = self
            .sspi
            .take()
            .filter(|range| Some(range) == other.sspi.as_ref());
        self.recovers &= other.recovers;
        self.fedauth = self.fedauth.filter(|_| other.fedauth.is_some());
        self.user_agent
            .take_if(|mine| Some(&*mine) != other.user_agent.as_ref());
        self.truncated |= other.truncated;
    }

    fn fixed(reader: &mut Reader<'_>) -> Option<Self> {
        let tds_version = TdsVersion(reader.u32()?);
        let packet_size = reader.u32()?;
        let _client_prog_ver = reader.u32()?;
        let client_pid = reader.u32()?;
        let _connection_id = reader.u32()?;
        let [_flags1, flags2, type_flags, flags3] = reader.array()?;
        let _time_zone_and_lcid = reader.u64()?;
        Some(Self {
            tds_version,
            packet_size,
            client_pid,
            integrated_security: flags2 & 0x80 != 0,
            read_only_intent: type_flags & 0x20 != 0,
            change_password: flags3 & 0x01 != 0,
            extension: flags3 & 0x10 != 0,
            host_name: None,
            user_name: None,
            app_name: None,
            server_name: None,
            library: None,
            language: None,
            database: None,
            sspi_len: 0,
            sspi: None,
            features: Vec::new(),
            recovers: false,
            fedauth: None,
            user_agent: None,
            truncated: false,
        })
    }

    fn read_texts(&mut self, body: &[u8]) {
        let mut cut = false;
        let mut text = |at| match field(body, at) {
            None => {
                cut = true;
                None
            }
            Some((_, 0)) => None,
            Some((offset, chars)) => {
                let bytes = slice(body, offset, 2 * chars);
                cut |= bytes.is_none();
                bytes.map(utf16)
            }
        };
        self.host_name = text(HOST_NAME);
        self.user_name = text(USER_NAME);
        self.app_name = text(APP_NAME);
        self.server_name = text(SERVER_NAME);
        self.library = text(CLT_INT_NAME);
        self.language = text(LANGUAGE);
        self.database = text(DATABASE);
        self.truncated |= cut;
    }

    fn locate_sspi(&mut self, body: &[u8]) {
        let Some((offset, len)) = field(body, SSPI) else {
            return;
        };
        // 0xFFFF says the length did not fit and stands in cbSSPILong, which came with TDS 7.2.
        let has_long = len == 0xFFFF && fixed_len(body) >= SSPI_LONG + 4;
        let long = || Reader::starting_at(body, SSPI_LONG).u32();
        self.sspi_len = match has_long.then(long).flatten() {
            Some(long) if long > 0 => long,
            _ => len as u32,
        };
        if self.sspi_len == 0 {
            return;
        }
        let end = offset.saturating_add(self.sspi_len as usize);
        self.truncated |= end > body.len();
        let end = end.min(body.len());
        self.sspi = (offset < end).then_some(offset..end);
    }

    fn read_features(&mut self, body: &[u8]) {
        if !self.extension {
            return;
        }
        if self.walk_features(body).is_none() {
            self.truncated = true;
        }
    }

    fn walk_features(&mut self, body: &[u8]) -> Option<()> {
        let (pointer, _) = field(body, EXTENSION)?;
        let start = Reader::starting_at(body, pointer).u32()?;
        let mut reader = Reader::starting_at(body, start as usize);
        loop {
            let id = reader.u8()?;
            if id == FEATURE_END {
                return Some(());
            }
            if self.features.len() == MAX_FEATURES {
                return None;
            }
            self.features.push(id);
            if id == FEATURE_FEDAUTH {
                self.fedauth = Some(FedAuth {
                    library: None,
                    echo: false,
                });
            }
            let len = reader.u32()? as usize;
            self.recovers |= id == FEATURE_SESSION_RECOVERY && len > 0;
            if id == FEATURE_FEDAUTH && len > 0 {
                self.fedauth = Some(fedauth(Reader::starting_at(body, reader.at()).u8()?));
            }
            let data = reader.take(len)?;
            if id == FEATURE_USER_AGENT {
                self.user_agent = UserAgent::decode(data);
            }
        }
    }
}

// 0 is Live ID, which nobody uses, and also what a withheld byte looks like.
fn fedauth(options: u8) -> FedAuth {
    FedAuth {
        library: match options >> 1 {
            0x01 => Some(FedAuthLibrary::SecurityToken),
            0x02 => Some(FedAuthLibrary::Adal),
            _ => None,
        },
        echo: options & 1 != 0,
    }
}

/// Offset in bytes and length (in characters for texts) of a variable field.
fn field(body: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut reader = Reader::starting_at(body, at);
    Some((reader.u16()?.into(), reader.u16()?.into()))
}

// The data begins with the host name, so its offset is the length of what is fixed: 94 bytes from
// TDS 7.2 on, 86 before.
fn fixed_len(body: &[u8]) -> usize {
    field(body, HOST_NAME).map_or(0, |(offset, _)| offset)
}

const TEXTS: usize = 36;
// MS-TDS: a LOGIN7 message is at most 128 KiB - 1.
const MAX_LEN: u32 = 128 * 1024 - 1;
// Ids are one byte and each may come once.
const MAX_FEATURES: usize = 255;

const HOST_NAME: usize = 36;
const USER_NAME: usize = 40;
const APP_NAME: usize = 48;
const SERVER_NAME: usize = 52;
const EXTENSION: usize = 56;
const CLT_INT_NAME: usize = 60;
const LANGUAGE: usize = 64;
const DATABASE: usize = 68;
const SSPI: usize = 78;
const SSPI_LONG: usize = 90;

const FEATURE_SESSION_RECOVERY: u8 = 0x01;
const FEATURE_FEDAUTH: u8 = 0x02;
const FEATURE_USER_AGENT: u8 = 0x10;
const FEATURE_END: u8 = 0xFF;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tds::{ntlm::Ntlm, spnego::Spnego};

    const SQL: &[u8] = include_bytes!("samples/login7_odbc18_sql.bin");
    const KERBEROS: &[u8] = include_bytes!("samples/login7_odbc18_kerberos.bin");
    const NTLM: &[u8] = include_bytes!("samples/login7_freetds_ntlm.bin");
    const FEDAUTH: &[u8] = include_bytes!("samples/login7_mssqltds_fedauth.bin");

    #[test]
    fn a_sql_login_says_who_asks_for_what() {
        let login = Login7::decode(SQL).unwrap();
        assert_eq!(login.tds_version.name(), Some("7.4"));
        assert_eq!(login.user_name.as_deref(), Some("sa"));
        assert_eq!(login.host_name.as_deref(), Some("vm"));
        assert_eq!(login.app_name.as_deref(), Some("python3.11"));
        assert_eq!(login.server_name.as_deref(), Some("sql1.lab.test,1433"));
        assert_eq!(login.library.as_deref(), Some("ODBC"));
        assert_eq!((login.language, login.database), (None, None));
        assert!(!login.integrated_security);
        assert_eq!((login.sspi_len, login.sspi), (0, None));
        assert_eq!(login.fedauth, None);
        assert!(!login.features.is_empty());
        let agent = login.user_agent.unwrap();
        assert_eq!(agent.driver.as_deref(), Some("MS-ODBC"));
        assert_eq!(agent.version.as_deref(), Some("18.6.2.1"));
        assert!(!login.truncated);
    }

    #[test]
    fn an_integrated_login_points_at_its_sspi_message() {
        let login = Login7::decode(KERBEROS).unwrap();
        assert!(login.integrated_security);
        assert_eq!(login.user_name, None);
        assert_eq!(login.sspi_len, 722);
        let sspi = login.sspi.unwrap();
        assert!(Spnego::decode(&KERBEROS[sspi]).is_ok());
    }

    #[test]
    fn freetds_puts_ntlm_into_the_login_without_spnego() {
        let login = Login7::decode(NTLM).unwrap();
        assert_eq!((login.packet_size, login.client_pid), (4096, 0x78C6));
        let message = Ntlm::decode(&NTLM[login.sspi.unwrap()]).unwrap();
        assert!(matches!(message, Ntlm::Negotiate { .. }));
    }

    #[test]
    fn a_federated_login_lists_its_features_and_its_library() {
        let login = Login7::decode(FEDAUTH).unwrap();
        let fedauth = login.fedauth.unwrap();
        assert_eq!(fedauth.library, Some(FedAuthLibrary::SecurityToken));
        assert!(fedauth.echo);
        assert_eq!(
            login.features,
            [0x10, 0x0E, 0x02, 0x0D, 0x0B, 0x0A, 0x0F, 0x01]
        );
        assert_eq!(login.database.as_deref(), Some("master"));
        assert!(!login.truncated);
    }

    #[test]
    fn a_login_that_brings_a_lost_sessions_state_recovers_it() {
        // That there may be one is said with every login, without data.
        assert!(!Login7::decode(FEDAUTH).unwrap().recovers);
        let mut message = FEDAUTH.to_vec();
        let at = message
            .windows(6)
            .position(|w| w == [1, 0, 0, 0, 0, 0xFF])
            .unwrap();
        message.splice(at + 1..at + 5, [4, 0, 0, 0, 7, 7, 7, 7]);
        let length = u32::try_from(message.len()).unwrap();
        message[..4].copy_from_slice(&length.to_le_bytes());
        let login = Login7::decode(&message).unwrap();
        assert!(login.recovers);
        assert_eq!(login.features.len(), 8);
    }

    #[test]
    fn a_withheld_fedauth_feature_is_present_with_an_unknown_library() {
        let mut message = FEDAUTH.to_vec();
        let at = message
            .windows(5)
            .position(|w| w == [2, 0x3D, 0, 0, 0])
            .unwrap();
        message[at + 5..at + 5 + 0x3D].fill(0);
        let login = Login7::decode(&message).unwrap();
        assert_eq!(login.fedauth.unwrap().library, None);
        assert_eq!(login.features.len(), 8);
    }

    #[test]
    fn a_message_cut_among_its_features_keeps_what_came_before() {
        let login = Login7::decode(&FEDAUTH[..0xD0]).unwrap();
        assert_eq!(login.database.as_deref(), Some("master"));
        assert_eq!(login.features, [0x10]);
        assert!(login.truncated);
    }

    #[test]
    fn a_message_cut_inside_the_sspi_message_keeps_its_declared_length() {
        let login = Login7::decode(&KERBEROS[..400]).unwrap();
        assert_eq!(login.sspi_len, 722);
        assert_eq!(login.sspi.unwrap().end, 400);
        assert!(login.truncated);
    }

    #[test]
    fn a_long_sspi_message_has_its_length_in_the_long_field() {
        let mut message = KERBEROS.to_vec();
        message[80..82].copy_from_slice(&[0xFF, 0xFF]);
        message[90..94].copy_from_slice(&70_000_u32.to_le_bytes());
        let login = Login7::decode(&message).unwrap();
        assert_eq!(login.sspi_len, 70_000);
        assert!(login.truncated);
    }

    #[test]
    fn the_shorter_fixed_part_before_tds_7_2_has_no_long_sspi_length() {
        let mut message = NTLM.to_vec();
        message[36..38].copy_from_slice(&86_u16.to_le_bytes());
        message[80..82].copy_from_slice(&[0xFF, 0xFF]);
        assert_eq!(Login7::decode(&message).unwrap().sspi_len, 0xFFFF);
    }

    #[test]
    fn less_than_the_numbers_at_the_start_is_malformed() {
        for len in 0..TEXTS {
            assert!(Login7::decode(&SQL[..len]).is_err());
        }
        assert!(Login7::decode(&SQL[..TEXTS]).unwrap().truncated);
    }

    #[test]
    fn an_impossible_length_is_malformed() {
        let mut message = SQL.to_vec();
        message[..4].copy_from_slice(&(128 * 1024_u32).to_le_bytes());
        assert_eq!(Login7::decode(&message).unwrap_err().at, 0);
    }

    #[test]
    fn the_password_is_nowhere_in_what_is_decoded() {
        let mut message = SQL.to_vec();
        let (offset, chars) = field(&message, 44).unwrap();
        message[offset..offset + 2 * chars].fill(b'Q');
        let login = Login7::decode(&message).unwrap();
        assert!(!format!("{login:?}").contains('\u{5151}'));
        assert_eq!(login, Login7::decode(SQL).unwrap());
    }
}
