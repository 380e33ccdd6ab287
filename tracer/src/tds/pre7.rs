//! The login record of TDS 4.2 and 5.0 (packet type 2), recognised without reading its secrets.
//!
//! MS-TDS does not describe it; the layout is the one `FreeTDS` and Sybase's own "TDS 5.0 Functional
//! Specification" give. Passwords (offsets 62 and 202) are never touched beyond their lengths.

use super::{Malformed, reader::slice};

/// What can be told of a login record without keeping anything of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pre7Login {
    /// Major and minor TDS version, when the record reached that far.
    pub version: Option<(u8, u8)>,
    /// Name of the application.
    pub app_name: Option<String>,
    /// Name of the server, as the client spelt it.
    pub server_name: Option<String>,
    /// The record was cut short.
    pub truncated: bool,
}

impl Pre7Login {
    /// Decodes the body of a packet of type 2, if it looks like a login record.
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        for at in NAME_LENGTHS {
            match body.get(at) {
                Some(&len) if usize::from(len) <= NAME_LEN => {}
                Some(_) => {
                    return Err(Malformed {
                        at,
                        what: "login record with a name longer than its field",
                    });
                }
                None if at == NAME_LENGTHS[0] => {
                    return Err(Malformed {
                        at: body.len(),
                        what: "login record cut short",
                    });
                }
                None => {}
            }
        }
        let version = slice(body, VERSION, 2).map(|bytes| (bytes[0], bytes[1]));
        Ok(Self {
            version,
            app_name: name(body, APP_NAME),
            server_name: name(body, SERVER_NAME),
            truncated: body.len() < RECORD_LEN,
        })
    }
}

fn name(body: &[u8], at: usize) -> Option<String> {
    let len = usize::from(*body.get(at + NAME_LEN)?);
    let bytes = slice(body, at, len)?;
    (len > 0).then(|| String::from_utf8_lossy(bytes).into_owned())
}

const NAME_LEN: usize = 30;
// Host, user, password, process, application, server: each 30 bytes and its length.
const NAME_LENGTHS: [usize; 6] = [30, 61, 92, 123, 170, 201];
const APP_NAME: usize = 140;
const SERVER_NAME: usize = 171;
const VERSION: usize = 458;
// The shortest variant, 4.2, ends after the language block.
const RECORD_LEN: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Vec<u8> {
        let mut record = vec![0; 563];
        for (at, text) in [(0, "ws1"), (31, "sa"), (140, "isql"), (171, "SYBASE")] {
            record[at..at + text.len()].copy_from_slice(text.as_bytes());
            record[at + NAME_LEN] = u8::try_from(text.len()).unwrap();
        }
        record[VERSION] = 5;
        record
    }

    #[test]
    fn a_tds_5_record_gives_version_application_and_server() {
        let login = Pre7Login::decode(&record()).unwrap();
        assert_eq!(login.version, Some((5, 0)));
        assert_eq!(login.app_name.as_deref(), Some("isql"));
        assert_eq!(login.server_name.as_deref(), Some("SYBASE"));
        assert!(!login.truncated);
    }

    #[test]
    fn a_record_cut_before_the_version_says_so() {
        let login = Pre7Login::decode(&record()[..300]).unwrap();
        assert_eq!(login.version, None);
        assert_eq!(login.app_name.as_deref(), Some("isql"));
        assert!(login.truncated);
    }

    #[test]
    fn a_name_longer_than_its_field_is_not_a_login_record() {
        let mut other = record();
        other[61] = 31;
        assert_eq!(Pre7Login::decode(&other).unwrap_err().at, 61);
    }
}
