//! The three NTLM messages (MS-NLMP 2.2.1), without challenge and responses.

use super::{
    Malformed,
    reader::{Reader, slice, utf16},
};

/// First bytes of every NTLM message.
pub const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";

/// An NTLM message. Names identify persons and machines; an empty or unseen one is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ntlm {
    /// `NEGOTIATE_MESSAGE`, type 1.
    Negotiate {
        /// Domain of the client's machine.
        domain: Option<String>,
        /// The client's machine.
        workstation: Option<String>,
    },
    /// `CHALLENGE_MESSAGE`, type 2.
    Challenge {
        /// The server or domain that authenticates.
        target: Option<String>,
        /// Names in the target information.
        names: TargetInfo,
    },
    /// `AUTHENTICATE_MESSAGE`, type 3.
    Authenticate(Authenticate),
}

/// Who the client says it is in an `AUTHENTICATE_MESSAGE`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authenticate {
    /// Domain of the user.
    pub domain: Option<String>,
    /// The user.
    pub user: Option<String>,
    /// The client's machine.
    pub workstation: Option<String>,
    /// Version of the response; `None` without one.
    pub version: Option<NtlmVersion>,
    /// The client has no credentials: it logs in as nobody.
    pub null_credentials: Option<bool>,
}

/// Names the server gives of itself in a challenge's AV pairs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetInfo {
    /// `NetBIOS` name of the computer.
    pub nb_computer: Option<String>,
    /// `NetBIOS` name of the domain.
    pub nb_domain: Option<String>,
    /// DNS name of the computer.
    pub dns_computer: Option<String>,
    /// DNS name of the domain.
    pub dns_domain: Option<String>,
}

/// Version of an NTLM response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NtlmVersion {
    /// The weak one.
    V1,
    /// The current one.
    V2,
}

impl Ntlm {
    /// Decodes a message that starts with [`SIGNATURE`].
    ///
    /// A message cut short gives the names that arrived; without its type it is malformed.
    pub fn decode(message: &[u8]) -> Result<Self, Malformed> {
        let malformed = |at, what| Malformed { at, what };
        if !message.starts_with(SIGNATURE) {
            return Err(malformed(0, "no NTLM signature"));
        }
        match Reader::starting_at(message, MESSAGE_TYPE).u32() {
            Some(1) => Ok(negotiate(message)),
            Some(2) => Ok(challenge(message)),
            Some(3) => Ok(authenticate(message)),
            Some(_) => Err(malformed(MESSAGE_TYPE, "unknown NTLM message type")),
            None => Err(malformed(message.len(), "NTLM message cut short")),
        }
    }

    /// What another reading of the same message agrees with: what differs depends on bytes that
    /// were not seen. `None` where even its type does.
    pub fn common(self, other: &Self) -> Option<Self> {
        Some(match (self, other) {
            (
                Self::Negotiate {
                    domain,
                    workstation,
                },
                Self::Negotiate {
                    domain: other_domain,
                    workstation: other_workstation,
                },
            ) => Self::Negotiate {
                domain: same(domain, other_domain.as_ref()),
                workstation: same(workstation, other_workstation.as_ref()),
            },
            (
                Self::Challenge { target, names },
                Self::Challenge {
                    target: other_target,
                    names: other_names,
                },
            ) => Self::Challenge {
                target: same(target, other_target.as_ref()),
                names: names.common(other_names),
            },
            (Self::Authenticate(one), Self::Authenticate(other)) => {
                Self::Authenticate(one.common(other))
            }
            _ => return None,
        })
    }
}

impl TargetInfo {
    fn common(self, other: &Self) -> Self {
        Self {
            nb_computer: same(self.nb_computer, other.nb_computer.as_ref()),
            nb_domain: same(self.nb_domain, other.nb_domain.as_ref()),
            dns_computer: same(self.dns_computer, other.dns_computer.as_ref()),
            dns_domain: same(self.dns_domain, other.dns_domain.as_ref()),
        }
    }
}

impl Authenticate {
    fn common(self, other: &Self) -> Self {
        Self {
            domain: same(self.domain, other.domain.as_ref()),
            user: same(self.user, other.user.as_ref()),
            workstation: same(self.workstation, other.workstation.as_ref()),
            version: same(self.version, other.version.as_ref()),
            null_credentials: same(self.null_credentials, other.null_credentials.as_ref()),
        }
    }
}

fn same<T: PartialEq>(one: Option<T>, other: Option<&T>) -> Option<T> {
    one.filter(|one| other == Some(one))
}

fn negotiate(message: &[u8]) -> Ntlm {
    // Sent before an encoding was agreed on, so always in the OEM character set.
    Ntlm::Negotiate {
        domain: text(message, 16, false),
        workstation: text(message, 24, false),
    }
}

fn challenge(message: &[u8]) -> Ntlm {
    Ntlm::Challenge {
        target: text(message, 12, is_unicode(message, 20)),
        names: payload(message, 40).map(target_info).unwrap_or_default(),
    }
}

fn authenticate(message: &[u8]) -> Ntlm {
    let unicode = is_unicode(message, 60);
    let user = text(message, 36, unicode);
    let user_len = declared_len(message, 36);
    let domain_len = declared_len(message, 28);
    let null_credentials = match (user_len, domain_len) {
        (Some(0), _) => Some(true),
        // A user principal name carries its domain itself; behind a cut it may be one.
        (Some(_), Some(0)) => user.as_ref().map(|user| !user.contains('@')),
        (Some(_), Some(_)) => Some(false),
        (None, _) | (_, None) => None,
    };
    Ntlm::Authenticate(Authenticate {
        domain: text(message, 28, unicode),
        workstation: text(message, 44, unicode),
        version: match declared_len(message, 20) {
            // An NTLMv1 response is 24 bytes, an NTLMv2 response always longer. tedious says 16 of its
            // NTLMv2 responses, which is neither.
            Some(24) => Some(NtlmVersion::V1),
            Some(len) if len > 24 => Some(NtlmVersion::V2),
            _ => None,
        },
        null_credentials,
        user,
    })
}

fn target_info(pairs: &[u8]) -> TargetInfo {
    let mut info = TargetInfo::default();
    let mut reader = Reader::new(pairs);
    while let Some((id, len)) = reader.u16().zip(reader.u16()) {
        let Some(value) = reader.take(len.into()) else {
            break;
        };
        match id {
            0 => break,
            1 => info.nb_computer = Some(utf16(value)),
            2 => info.nb_domain = Some(utf16(value)),
            3 => info.dns_computer = Some(utf16(value)),
            4 => info.dns_domain = Some(utf16(value)),
            _ => {}
        }
    }
    info
}

fn is_unicode(message: &[u8], flags: usize) -> bool {
    // NTLMSSP_NEGOTIATE_UNICODE; when the flags did not arrive, what everybody sends.
    Reader::starting_at(message, flags)
        .u32()
        .is_none_or(|flags| flags & 1 != 0)
}

fn declared_len(message: &[u8], at: usize) -> Option<u16> {
    Reader::starting_at(message, at).u16()
}

fn payload(message: &[u8], at: usize) -> Option<&[u8]> {
    let mut reader = Reader::starting_at(message, at);
    let (len, _max, offset) = (reader.u16()?, reader.u16()?, reader.u32()?);
    slice(message, offset as usize, len.into())
}

fn text(message: &[u8], at: usize, unicode: bool) -> Option<String> {
    let bytes = payload(message, at)?;
    let text = if unicode {
        utf16(bytes)
    } else {
        String::from_utf8_lossy(bytes).into_owned()
    };
    (!text.is_empty()).then_some(text)
}

const MESSAGE_TYPE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN7: &[u8] = include_bytes!("samples/login7_freetds_ntlm.bin");
    const CHALLENGE_REPLY: &[u8] = include_bytes!("samples/reply_ntlm_challenge.bin");
    const AUTHENTICATE: &[u8] = include_bytes!("samples/ntlm_authenticate_freetds.bin");

    #[test]
    fn the_first_message_names_domain_and_workstation() {
        let at = LOGIN7.windows(8).position(|w| w == SIGNATURE).unwrap();
        let message = Ntlm::decode(&LOGIN7[at..]).unwrap();
        let expected = Ntlm::Negotiate {
            domain: Some("LAB".into()),
            workstation: Some("vm".into()),
        };
        assert_eq!(message, expected);
    }

    #[test]
    fn the_challenge_names_the_server() {
        let message = Ntlm::decode(&CHALLENGE_REPLY[3..]).unwrap();
        let expected = Ntlm::Challenge {
            target: Some("LAB".into()),
            names: TargetInfo {
                nb_computer: Some("LABSQL".into()),
                nb_domain: Some("LAB".into()),
                dns_computer: Some("sql1.lab.test".into()),
                dns_domain: Some("lab.test".into()),
            },
        };
        assert_eq!(message, expected);
    }

    fn authenticated(
        message: &[u8],
    ) -> (Option<String>, Option<String>, Option<NtlmVersion>, bool) {
        match Ntlm::decode(message).unwrap() {
            Ntlm::Authenticate(said) => (
                said.domain,
                said.user,
                said.version,
                said.null_credentials == Some(true),
            ),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_last_message_names_the_user_and_tells_ntlmv2_by_the_response() {
        let (domain, user, version, null) = authenticated(AUTHENTICATE);
        assert_eq!(domain, Some("LAB".into()));
        assert_eq!(user, Some("alice".into()));
        assert_eq!((version, null), (Some(NtlmVersion::V2), false));
    }

    #[test]
    fn a_response_of_24_bytes_is_ntlmv1() {
        let mut message = AUTHENTICATE.to_vec();
        message[20..22].copy_from_slice(&24_u16.to_le_bytes());
        assert_eq!(authenticated(&message).2, Some(NtlmVersion::V1));
    }

    #[test]
    fn a_response_of_an_impossible_length_has_no_version() {
        for len in [0_u16, 16, 23] {
            let mut message = AUTHENTICATE.to_vec();
            message[20..22].copy_from_slice(&len.to_le_bytes());
            assert_eq!(authenticated(&message).2, None, "{len}");
        }
    }

    #[test]
    fn nobody_logs_in_without_a_user_or_a_domain() {
        for at in [28, 36] {
            let mut message = AUTHENTICATE.to_vec();
            message[at..at + 2].fill(0);
            assert!(authenticated(&message).3, "field at {at}");
        }
    }

    #[test]
    fn a_user_principal_name_needs_no_domain() {
        let mut message = AUTHENTICATE.to_vec();
        let at = Reader::starting_at(&message, 40).u32().unwrap() as usize;
        message[at] = b'@';
        message[28..30].fill(0);
        assert!(!authenticated(&message).3);
    }

    #[test]
    fn whether_a_user_beyond_a_cut_needs_a_domain_is_unknown() {
        let mut message = AUTHENTICATE.to_vec();
        message[28..30].fill(0);
        for cut in [20, 36, 64] {
            let Ok(Ntlm::Authenticate(said)) = Ntlm::decode(&message[..cut]) else {
                panic!("the last message")
            };
            assert_eq!(said.null_credentials, None, "of {cut} bytes");
        }
    }

    #[test]
    fn names_beyond_a_cut_are_unknown_not_empty() {
        let (domain, user, version, null) = authenticated(&AUTHENTICATE[..64]);
        assert_eq!((domain, user), (None, None));
        assert_eq!((version, null), (Some(NtlmVersion::V2), false));
    }

    #[test]
    fn what_two_readings_say_differently_is_not_known() {
        let mut other = AUTHENTICATE.to_vec();
        let at = Reader::starting_at(&other, 40).u32().unwrap() as usize;
        other[at] = 0xFF;
        let [one, other] = [AUTHENTICATE, &other].map(|message| Ntlm::decode(message).unwrap());
        let Some(Ntlm::Authenticate(common)) = one.clone().common(&other) else {
            panic!("its type differs");
        };
        assert_eq!((common.domain.as_deref(), common.user), (Some("LAB"), None));
        let challenge = Ntlm::decode(&CHALLENGE_REPLY[3..]).unwrap();
        assert_eq!(one.common(&challenge), None);
    }

    #[test]
    fn withheld_bytes_are_not_ntlm() {
        assert_eq!(Ntlm::decode(&[0; 64]).unwrap_err().at, 0);
        assert!(Ntlm::decode(&AUTHENTICATE[..9]).is_err());
        let mut other = AUTHENTICATE.to_vec();
        other[8] = 4;
        assert_eq!(Ntlm::decode(&other).unwrap_err().at, MESSAGE_TYPE);
    }
}
