//! PRELOGIN of both sides (MS-TDS 2.2.6.5).

use std::fmt;

use super::{
    Malformed,
    encryption::EncryptionSetting,
    reader::{Reader, slice},
};

/// What a PRELOGIN message says. An option that was not sent, or not seen, is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prelogin {
    /// The sender's version: the driver's, or SQL Server's.
    pub version: Option<ProductVersion>,
    /// ENCRYPTION.
    pub encryption: Option<EncryptionSetting>,
    /// INSTOPT of a client: the instance it wants; `None` when it left the name empty.
    pub instance: Option<String>,
    /// INSTOPT of a server: whether the client asked for another instance.
    pub instance_mismatch: Option<bool>,
    /// THREADID: of the client's thread, for debugging.
    pub thread_id: Option<u32>,
    /// MARS: wanted by the client, or granted by the server.
    pub mars: Option<bool>,
    /// TRACEID.
    pub trace_id: Option<TraceId>,
    /// FEDAUTHREQUIRED.
    pub fedauth_required: Option<bool>,
    /// Whether NONCEOPT came. Its value is never kept.
    pub nonce_present: bool,
    /// The message was cut short: options may be missing.
    pub truncated: bool,
}

/// A four-part version as PRELOGIN carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProductVersion {
    /// Major version: 16 for SQL Server 2022.
    pub major: u8,
    /// Minor version.
    pub minor: u8,
    /// Build.
    pub build: u16,
    /// Sub-build; zero in most messages.
    pub sub_build: u16,
}

impl fmt::Display for ProductVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            major,
            minor,
            build,
            sub_build,
        } = self;
        write!(f, "{major}.{minor}.{build}.{sub_build}")
    }
}

/// The identifiers a client gives its connection, as they show up in the server's traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId {
    /// Client connection id.
    pub connection: Guid,
    /// Client activity id.
    pub activity: Guid,
    /// Sequence number within the activity.
    pub sequence: u32,
}

/// A GUID in its wire form, which is mixed-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// Whether all bytes are zero: the sender had none to give.
    pub fn is_nil(self) -> bool {
        self.0 == [0; 16]
    }

    /// Its first and its last eight bytes, as they are on the wire.
    pub fn halves(self) -> [u64; 2] {
        let all = u128::from_be_bytes(self.0);
        [all >> 64, all & u128::from(u64::MAX)].map(|half| half as u64)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The first three groups are little-endian numbers, the rest is bytes.
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (index, from) in TEXT_ORDER.into_iter().enumerate() {
            at += usize::from(matches!(index, 4 | 6 | 8 | 10));
            let byte = usize::from(self.0[from]);
            text[at] = DIGITS[byte >> 4];
            text[at + 1] = DIGITS[byte & 0x0F];
            at += 2;
        }
        f.write_str(str::from_utf8(&text).map_err(|_not_ascii| fmt::Error)?)
    }
}

impl Prelogin {
    /// Decodes the body of a PRELOGIN message or of its answer.
    ///
    /// Fails when the first option is not VERSION, as MS-TDS demands: such a body is something
    /// else, a TLS record for instance, since those come in packets of the same type.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        if body.first() != Some(&VERSION) {
            return Err(Malformed {
                at: 0,
                what: "VERSION is not the first prelogin option",
            });
        }
        let mut prelogin = Self::default();
        let mut options = Reader::new(body);
        // Bounded by the body: each turn consumes five bytes of it.
        loop {
            match options.u8() {
                Some(TERMINATOR) => break,
                Some(id) => {
                    let Some((at, len)) = options.u16_be().zip(options.u16_be()) else {
                        prelogin.truncated = true;
                        break;
                    };
                    match slice(body, at.into(), len.into()) {
                        // Its value is never told, and nothing in it is needed.
                        _ if id == NONCEOPT => prelogin.nonce_present = len > 0,
                        Some(value) => prelogin.set(id, value),
                        None => prelogin.truncated = true,
                    }
                }
                None => {
                    prelogin.truncated = true;
                    break;
                }
            }
        }
        Ok(prelogin)
    }

    fn set(&mut self, id: u8, value: &[u8]) {
        let mut reader = Reader::new(value);
        match id {
            VERSION => self.version = product_version(&mut reader),
            ENCRYPTION => self.encryption = reader.u8().map(EncryptionSetting::from_raw),
            INSTOPT => self.set_instance(value),
            THREADID => self.thread_id = reader.u32(),
            MARS => self.mars = reader.u8().map(|value| value != 0),
            TRACEID => self.trace_id = trace_id(&mut reader),
            FEDAUTHREQUIRED => self.fedauth_required = reader.u8().map(|value| value != 0),
            _ => {}
        }
    }

    // One byte of 0 or 1 is a server's verdict (or a client with nothing to ask); anything longer
    // is a client's zero-terminated name.
    fn set_instance(&mut self, value: &[u8]) {
        match value {
            [] => {}
            [verdict @ (0 | 1)] => self.instance_mismatch = Some(*verdict == 1),
            name => {
                let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
                if !name.is_empty() {
                    self.instance = Some(String::from_utf8_lossy(name).into_owned());
                }
            }
        }
    }
}

fn product_version(reader: &mut Reader<'_>) -> Option<ProductVersion> {
    Some(ProductVersion {
        major: reader.u8()?,
        minor: reader.u8()?,
        build: reader.u16_be()?,
        sub_build: reader.u16_be()?,
    })
}

fn trace_id(reader: &mut Reader<'_>) -> Option<TraceId> {
    Some(TraceId {
        connection: Guid(reader.array()?),
        activity: Guid(reader.array()?),
        sequence: reader.u32()?,
    })
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";
const TEXT_ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

const VERSION: u8 = 0x00;
const ENCRYPTION: u8 = 0x01;
const INSTOPT: u8 = 0x02;
const THREADID: u8 = 0x03;
const MARS: u8 = 0x04;
const TRACEID: u8 = 0x05;
const FEDAUTHREQUIRED: u8 = 0x06;
const NONCEOPT: u8 = 0x07;
const TERMINATOR: u8 = 0xFF;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::EncryptionOption;

    const ODBC: &[u8] = include_bytes!("samples/prelogin_odbc18_client.bin");
    const ODBC_KERBEROS: &[u8] = include_bytes!("samples/prelogin_odbc18_client_kerberos.bin");
    const ODBC_INSTANCE: &[u8] = include_bytes!("samples/prelogin_odbc18_client_instance.bin");
    const FREETDS: &[u8] = include_bytes!("samples/prelogin_freetds_client.bin");
    const SERVER: &[u8] = include_bytes!("samples/prelogin_server_krb.bin");
    const OPENCANARY: &[u8] = include_bytes!("samples/prelogin_opencanary_server.bin");

    fn option(prelogin: &Prelogin) -> EncryptionOption {
        prelogin.encryption.unwrap().option
    }

    #[test]
    fn odbc_driver_18_names_itself_and_its_connection() {
        let prelogin = Prelogin::decode(ODBC).unwrap();
        assert_eq!(prelogin.version.unwrap().to_string(), "18.6.2.0");
        assert_eq!(option(&prelogin), EncryptionOption::Off);
        assert_eq!(prelogin.mars, Some(false));
        assert_eq!(prelogin.instance, None);
        assert_eq!(prelogin.fedauth_required, None);
        let trace = prelogin.trace_id.unwrap();
        assert_eq!(
            trace.connection.to_string(),
            "6428744a-dde5-84b1-8d51-9413048d2616"
        );
        assert_eq!(
            trace.activity.to_string(),
            "43e089d6-6fe7-e5e4-41cc-72feffdb2302"
        );
        assert_eq!(trace.sequence, 0);
        assert!(!prelogin.truncated);
    }

    #[test]
    fn a_client_that_can_federate_asks_whether_it_must() {
        let prelogin = Prelogin::decode(ODBC_KERBEROS).unwrap();
        assert_eq!(prelogin.fedauth_required, Some(true));
        assert!(!prelogin.nonce_present);
    }

    #[test]
    fn a_client_names_the_instance_it_wants() {
        let prelogin = Prelogin::decode(ODBC_INSTANCE).unwrap();
        assert_eq!(prelogin.instance.as_deref(), Some("sqlexpress"));
        assert_eq!(prelogin.instance_mismatch, None);
    }

    #[test]
    fn freetds_sends_its_process_id_as_thread_id() {
        let prelogin = Prelogin::decode(FREETDS).unwrap();
        assert_eq!(prelogin.thread_id, Some(0x78C6));
        assert_eq!(prelogin.instance.as_deref(), Some("MSSQLServer"));
    }

    #[test]
    fn a_server_answers_with_its_version_and_verdicts() {
        let prelogin = Prelogin::decode(SERVER).unwrap();
        assert_eq!(prelogin.version.unwrap().major, 16);
        assert_eq!(prelogin.instance_mismatch, Some(false));
        assert_eq!(prelogin.mars, Some(false));
        assert_eq!(prelogin.trace_id, None);
    }

    #[test]
    fn options_of_length_zero_are_absent() {
        let prelogin = Prelogin::decode(OPENCANARY).unwrap();
        assert_eq!(option(&prelogin), EncryptionOption::NotSup);
        assert_eq!(prelogin.thread_id, None);
        assert!(!prelogin.truncated);
    }

    #[test]
    fn a_message_cut_in_its_data_keeps_what_arrived() {
        let prelogin = Prelogin::decode(&ODBC[..0x2C]).unwrap();
        assert_eq!(prelogin.version.unwrap().major, 18);
        assert_eq!(prelogin.mars, Some(false));
        assert_eq!(prelogin.trace_id, None);
        assert!(prelogin.truncated);
    }

    #[test]
    fn a_message_cut_in_its_option_list_says_so() {
        let prelogin = Prelogin::decode(&ODBC[..7]).unwrap();
        assert_eq!(prelogin.version, None);
        assert!(prelogin.truncated);
    }

    #[test]
    fn a_tls_record_is_not_a_prelogin() {
        let record = include_bytes!("samples/tls12_client_1.bin");
        assert_eq!(Prelogin::decode(record).unwrap_err().at, 0);
        assert!(Prelogin::decode(&[]).is_err());
    }
}
