//! What the two PRELOGIN encryption options agree on (MS-TDS 2.2.6.5).

use crate::record::{
    Encryption,
    EncryptionOption::{
        self, ClientCertNotSup, ClientCertOff, ClientCertOn, ClientCertReq, NotSup, Off, On, Other,
        Req,
    },
};

/// The ENCRYPTION option's byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncryptionSetting {
    /// What it means.
    pub option: EncryptionOption,
    /// The byte as it was sent.
    pub raw: u8,
}

impl EncryptionSetting {
    /// What the byte means; `Other` for a value MS-TDS does not define.
    pub fn from_raw(raw: u8) -> Self {
        let option = match raw & !EXTENSION {
            0x00 => Off,
            0x01 => On,
            0x02 => NotSup,
            0x03 => Req,
            0x80 => ClientCertOff,
            0x81 => ClientCertOn,
            0x82 => ClientCertNotSup,
            0x83 => ClientCertReq,
            _ => Other,
        };
        Self { option, raw }
    }
}

/// What a client that asked for `asked` does after the server answered `answered`; nothing where
/// either is a value that MS-TDS does not define.
///
/// Not for TDS 8.0, where TLS is up before PRELOGIN and the option has no meaning.
pub fn negotiate(asked: EncryptionOption, answered: EncryptionOption) -> Option<Encryption> {
    let with_certificate = asked != plain(asked);
    Some(match (plain(asked), plain(answered)) {
        (Other, _) | (_, Other) => return None,
        (Off, Off) => Encryption::LoginOnly,
        // A client certificate travels inside TLS, so it cannot do without.
        (Off, NotSup) | (NotSup, _) if with_certificate => Encryption::Refused,
        (Off, NotSup) | (NotSup, NotSup | Off) => Encryption::None,
        (Off | On | Req, On | Req) => Encryption::Full,
        _ => Encryption::Refused,
    })
}

/// The option without the client's certificate.
fn plain(option: EncryptionOption) -> EncryptionOption {
    match option {
        Off | ClientCertOff => Off,
        On | ClientCertOn => On,
        NotSup | ClientCertNotSup => NotSup,
        Req | ClientCertReq => Req,
        Other => Other,
    }
}

// Reserved by MS-TDS; SQL Server ignores it.
const EXTENSION: u8 = 0x20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_options_has_the_outcome_of_the_negotiation_matrix() {
        use Encryption::{Full, LoginOnly, None, Refused};
        let option = |raw| EncryptionSetting::from_raw(raw).option;
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
            for (answer, expected) in (0..).zip(outcomes) {
                let outcome = negotiate(option(raw), option(answer));
                assert_eq!(
                    outcome,
                    Some(expected),
                    "sent {raw:#04x}, saw {answer:#04x}"
                );
            }
        }
    }

    #[test]
    fn the_reserved_extension_bit_changes_nothing() {
        let setting = EncryptionSetting::from_raw(0x21);
        assert_eq!((setting.option, setting.raw), (On, 0x21));
    }

    #[test]
    fn an_undefined_value_is_told_and_not_guessed_at() {
        for raw in [0x04, 0x07, 0x10, 0x44, 0x84] {
            let setting = EncryptionSetting::from_raw(raw);
            assert_eq!((setting.option, setting.raw), (Other, raw));
            assert_eq!(negotiate(setting.option, On), None);
            assert_eq!(negotiate(Off, setting.option), None);
        }
    }
}
