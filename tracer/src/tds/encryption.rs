//! What the two PRELOGIN encryption options agree on (MS-TDS 2.2.6.5).

/// The encryption a side asks for or answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EncryptionOption {
    /// `ENCRYPT_OFF`: available, used for the login packet only.
    Off,
    /// `ENCRYPT_ON`: wanted for everything.
    On,
    /// `ENCRYPT_NOT_SUP`: not available.
    NotSupported,
    /// `ENCRYPT_REQ`: required.
    Required,
}

impl EncryptionOption {
    /// The name in MS-TDS, without its prefix, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::NotSupported => "not_supported",
            Self::Required => "required",
        }
    }
}

/// The ENCRYPTION option's byte, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EncryptionSetting {
    /// The value proper.
    pub option: EncryptionOption,
    /// `ENCRYPT_CLIENT_CERT`: the client authenticates with a certificate.
    pub client_certificate: bool,
    /// The byte as it was sent.
    pub raw: u8,
}

impl EncryptionSetting {
    /// Takes the byte apart; `None` for a value MS-TDS does not define.
    pub fn from_raw(raw: u8) -> Option<Self> {
        let option = match raw & !(CLIENT_CERTIFICATE | EXTENSION) {
            0 => EncryptionOption::Off,
            1 => EncryptionOption::On,
            2 => EncryptionOption::NotSupported,
            3 => EncryptionOption::Required,
            _ => return None,
        };
        Some(Self {
            option,
            client_certificate: raw & CLIENT_CERTIFICATE != 0,
            raw,
        })
    }
}

/// What is encrypted of a connection that negotiated in PRELOGIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// Nothing.
    None,
    /// The first packet of LOGIN7 only.
    LoginOnly,
    /// Everything after PRELOGIN.
    Full,
    /// The two sides cannot agree: one of them ends the connection.
    Refused,
}

/// What a client that asked for `asked` does after the server answered `answered`.
///
/// Not for TDS 8.0, where TLS is up before PRELOGIN and the option has no meaning.
pub fn negotiate(asked: EncryptionSetting, answered: EncryptionOption) -> Encryption {
    use EncryptionOption::{NotSupported, Off, On, Required};
    match (asked.option, answered) {
        (Off, Off) => Encryption::LoginOnly,
        // A client certificate travels inside TLS, so it cannot do without.
        (Off, NotSupported) | (NotSupported, _) if asked.client_certificate => Encryption::Refused,
        (Off, NotSupported) | (NotSupported, NotSupported | Off) => Encryption::None,
        (Off | On | Required, On | Required) => Encryption::Full,
        (On | Required, Off | NotSupported) | (NotSupported, On | Required) => Encryption::Refused,
    }
}

const CLIENT_CERTIFICATE: u8 = 0x80;
// Reserved by MS-TDS; SQL Server ignores it.
const EXTENSION: u8 = 0x20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_options_has_the_outcome_of_the_negotiation_matrix() {
        use Encryption::{Full, LoginOnly, None, Refused};
        // Rows: what the client sent. Columns: OFF, ON, NOT_SUP, REQ in the answer.
        let matrix = [
            (0x00, [LoginOnly, Full, None, Full]),
            (0x01, [Refused, Full, Refused, Full]),
            (0x02, [None, Refused, None, Refused]),
            (0x03, [Refused, Full, Refused, Full]),
            (0x80, [LoginOnly, Full, Refused, Full]),
            (0x81, [Refused, Full, Refused, Full]),
            (0x82, [Refused, Refused, Refused, Refused]),
            (0x83, [Refused, Full, Refused, Full]),
        ];
        for (raw, outcomes) in matrix {
            let asked = EncryptionSetting::from_raw(raw).unwrap();
            for (answer, expected) in (0..).zip(outcomes) {
                let answered = EncryptionSetting::from_raw(answer).unwrap();
                let outcome = negotiate(asked, answered.option);
                assert_eq!(outcome, expected, "sent {raw:#04x}, saw {answer:#04x}");
            }
        }
    }

    #[test]
    fn the_reserved_extension_bit_changes_nothing() {
        let setting = EncryptionSetting::from_raw(0x21).unwrap();
        assert_eq!(setting.option, EncryptionOption::On);
        assert!(!setting.client_certificate);
        assert_eq!(setting.raw, 0x21);
    }

    #[test]
    fn an_undefined_value_is_not_guessed_at() {
        for raw in [0x04, 0x07, 0x10, 0x44, 0x84] {
            assert_eq!(EncryptionSetting::from_raw(raw), None);
        }
    }
}
