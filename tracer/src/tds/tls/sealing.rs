//! How long a record becomes by being sealed.

use std::ops::RangeInclusive;

use tls_parser::{TlsCipherEnc, TlsCipherEncMode, TlsCipherMac};

use super::hello::ServerHello;

const TLS_1_0: u16 = 0x0301;
const TLS_1_3: u16 = 0x0304;
/// Authentication tag of an AEAD; of those whose names end in `CCM_8`, half of it.
const TAG: u32 = 16;
/// The nonce's explicit part in TLS 1.2, with AES (RFC 5288 §3); `ChaCha20` has none (RFC 7905 §2).
const EXPLICIT_NONCE: u32 = 8;
/// What TLS 1.3 appends to hide a record's type (RFC 8446 §5.2).
const INNER_TYPE: u32 = 1;

/// How a connection's records of application data are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// A stream of the same length, with so many bytes around it.
    Aead(u32),
    /// Blocks of a size, with the MAC's bytes inside them and others around them.
    Blocks {
        /// Bytes of a block.
        block: u32,
        /// Bytes of the MAC that are sealed with the data.
        inside: u32,
        /// Bytes of the initialisation vector, and of a MAC that is not sealed.
        around: u32,
    },
}

impl ServerHello {
    /// How records are sealed; `None` where the cipher suite is not known, or a stream cipher's.
    pub fn sealing(&self) -> Option<Sealing> {
        let suite = self.suite?;
        if suite.mac == TlsCipherMac::Aead {
            let is_short = suite.enc_mode == TlsCipherEncMode::Ccm && suite.name.contains("CCM_8");
            let tag = TAG >> u32::from(is_short);
            let rest = if self.version == TLS_1_3 {
                INNER_TYPE
            } else if suite.enc == TlsCipherEnc::Chacha20_Poly1305 {
                0
            } else {
                EXPLICIT_NONCE
            };
            return Some(Sealing::Aead(tag + rest));
        }
        if suite.enc_mode != TlsCipherEncMode::Cbc {
            return None;
        }
        let mac = match suite.mac {
            TlsCipherMac::HmacMd5 => 16,
            TlsCipherMac::HmacSha1 => 20,
            TlsCipherMac::HmacSha256 => 32,
            TlsCipherMac::HmacSha384 => 48,
            _ => return None,
        };
        let block = match suite.enc {
            TlsCipherEnc::Des | TlsCipherEnc::TripleDes | TlsCipherEnc::Idea => 8,
            _ => 16,
        };
        // TLS 1.0 has no explicit initialisation vector (RFC 4346 §6.2.3.2).
        let vector = if self.version > TLS_1_0 { block } else { 0 };
        // The MAC is inside the blocks or, where both sides have agreed so, behind them (RFC 7366).
        let (inside, behind) = if self.encrypt_then_mac {
            (0, mac)
        } else {
            (mac, 0)
        };
        Some(Sealing::Blocks {
            block,
            inside,
            around: vector + behind,
        })
    }
}

impl Sealing {
    /// The length of a record, after its header, that seals so many bytes and no padding but what
    /// the cipher needs; and the bytes which a record of that length may seal.
    pub fn of(self, plain: u32) -> (u32, RangeInclusive<u32>) {
        match self {
            Self::Aead(around) => (plain + around, plain..=plain),
            Self::Blocks {
                block,
                inside,
                around,
            } => {
                // At least one byte of padding, of at most one block.
                let blocks = (plain + inside) / block * block + block;
                let least = (blocks - block).saturating_sub(inside);
                (around + blocks, least..=blocks - inside - 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tls_parser::TlsCipherSuite;

    use super::*;

    fn sealed(
        version: u16,
        cipher: u16,
        encrypt_then_mac: bool,
    ) -> Option<(u32, RangeInclusive<u32>)> {
        let hello = ServerHello {
            version,
            cipher,
            suite: TlsCipherSuite::from_id(cipher),
            encrypt_then_mac,
            ..ServerHello::default()
        };
        Some(hello.sealing()?.of(16))
    }

    #[test]
    fn an_aead_adds_its_tag_and_what_its_version_adds() {
        for (version, cipher, len) in [
            (0x0304, 0x1301, 33), // TLS_AES_128_GCM_SHA256
            (0x0304, 0x1303, 33), // TLS_CHACHA20_POLY1305_SHA256
            (0x0304, 0x1305, 25), // TLS_AES_128_CCM_8_SHA256
            (0x0303, 0xC030, 40), // TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
            (0x0303, 0xCCA8, 32), // TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
            (0x0303, 0xC0A0, 32), // TLS_RSA_WITH_AES_128_CCM_8
        ] {
            assert_eq!(
                sealed(version, cipher, false),
                Some((len, 16..=16)),
                "{cipher:04x}"
            );
        }
    }

    #[test]
    fn a_block_cipher_hides_the_length_within_a_block() {
        for (version, cipher, encrypt_then_mac, expected) in [
            (0x0303, 0xC014, false, (64, 12..=27)), // TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA
            (0x0303, 0xC027, false, (80, 16..=31)), // TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256
            (0x0303, 0xC028, false, (96, 16..=31)), // TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384
            (0x0301, 0xC014, false, (48, 12..=27)),
            (0x0301, 0x000A, false, (40, 12..=19)), // TLS_RSA_WITH_3DES_EDE_CBC_SHA
            (0x0303, 0xC014, true, (68, 16..=31)),
        ] {
            assert_eq!(
                sealed(version, cipher, encrypt_then_mac),
                Some(expected),
                "{cipher:04x}"
            );
        }
    }

    #[test]
    fn a_stream_cipher_is_not_known() {
        // TLS_RSA_WITH_RC4_128_SHA
        assert_eq!(sealed(0x0303, 0x0005, false), None);
    }
}
