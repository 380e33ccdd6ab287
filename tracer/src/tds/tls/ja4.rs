//! JA4 (`FoxIO`): a short name for how a client offers TLS, the same for every connection of one
//! library and configuration.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use sha2::{Digest, Sha256};

/// Fingerprints remembered: of more clients than most hosts have.
const MAX_REMEMBERED: usize = 64;
/// Values of an offer that is remembered; those of real clients have some hundred.
const MAX_VALUES: usize = 512;

/// The last fingerprints, by what they were made of.
#[derive(Debug)]
pub struct Fingerprints(HashMap<Offer, Arc<str>>);

impl Default for Fingerprints {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl Fingerprints {
    /// The fingerprint of what a client offers.
    pub(super) fn of(&mut self, offer: Offer) -> Arc<str> {
        if let Some(known) = self.0.get(&offer) {
            return Arc::clone(known);
        }
        let ja4 = Arc::from(offer.ja4());
        if offer.values() <= MAX_VALUES {
            if self.0.len() >= MAX_REMEMBERED {
                self.0.clear();
            }
            self.0.insert(offer, Arc::clone(&ja4));
        }
        ja4
    }
}

/// What of a `ClientHello` the fingerprint is made of.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Offer {
    /// The highest version offered.
    pub(super) version: u16,
    pub(super) ciphers: Vec<u16>,
    /// Types of all extensions.
    pub(super) extensions: Vec<u16>,
    /// The first application protocol.
    pub(super) alpn: Option<Vec<u8>>,
    /// In the order sent.
    pub(super) signature_algorithms: Vec<u16>,
}

impl Offer {
    /// How many values it has.
    fn values(&self) -> usize {
        let alpn = self.alpn.as_ref().map_or(0, Vec::len);
        self.ciphers.len() + self.extensions.len() + self.signature_algorithms.len() + alpn
    }

    /// The fingerprint, such as `t13d1516h2_8daaf6152771_e5627efa2ab1`.
    fn ja4(&self) -> String {
        let mut ciphers = meant(&self.ciphers);
        let mut extensions = meant(&self.extensions);
        let sni = if extensions.contains(&SERVER_NAME) {
            'd'
        } else {
            'i'
        };
        let head = format!(
            "t{}{sni}{:02}{:02}{}",
            version(self.version),
            ciphers.len().min(MOST),
            extensions.len().min(MOST),
            ends(self.alpn.as_deref())
        );
        ciphers.sort_unstable();
        extensions.retain(|kind| ![SERVER_NAME, ALPN].contains(kind));
        extensions.sort_unstable();
        let mut extensions = list(&extensions);
        let algorithms = meant(&self.signature_algorithms);
        if !algorithms.is_empty() {
            extensions.push(b'_');
            extensions.extend(list(&algorithms));
        }
        format!("{head}_{}_{}", digest(&list(&ciphers)), digest(&extensions))
    }
}

/// The values that mean something.
fn meant(values: &[u16]) -> Vec<u16> {
    let values = values.iter().copied();
    values.filter(|value| !is_grease(*value)).collect()
}

/// Whether a value means nothing and is only sent so that nobody chokes on new ones (RFC 8701).
pub(super) fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0F == 0x0A
}

fn version(version: u16) -> &'static str {
    match version {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        _ => "00",
    }
}

/// First and last character of the protocol's name; of its hex digits where it has others than
/// letters and digits there.
fn ends(alpn: Option<&[u8]>) -> String {
    let Some([first, rest @ ..]) = alpn else {
        return "00".to_owned();
    };
    let last = rest.last().unwrap_or(first);
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        [*first, *last].map(char::from).iter().collect()
    } else {
        format!("{:x}{:x}", first >> 4, last & 0x0F)
    }
}

/// Numbers in hex, with commas between them.
fn list(values: &[u16]) -> Vec<u8> {
    let mut text = Vec::with_capacity(values.len() * 5);
    for value in values {
        if !text.is_empty() {
            text.push(b',');
        }
        let [high, low] = value.to_be_bytes().map(hex);
        text.extend([high[0], high[1], low[0], low[1]]);
    }
    text
}

/// The first twelve hex digits of SHA-256; zeros where there is nothing to digest.
fn digest(text: &[u8]) -> String {
    if text.is_empty() {
        return "0".repeat(12);
    }
    let digest = Sha256::digest(text);
    let digits = digest[..6].iter().copied().flat_map(hex);
    digits.map(char::from).collect()
}

/// A byte's two digits.
fn hex(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [byte >> 4, byte & 0x0F].map(|digit| DIGITS[usize::from(digit)])
}

const SERVER_NAME: u16 = 0x0000;
const ALPN: u16 = 0x0010;
/// Larger counts do not fit into two digits.
const MOST: usize = 99;

#[cfg(test)]
mod tests {
    use super::{Fingerprints, MAX_REMEMBERED, MAX_VALUES, Offer};

    /// The example of `FoxIO`'s description, with the GREASE that Chrome sends.
    #[test]
    fn the_published_example_has_its_published_fingerprint() {
        let offer = Offer {
            version: 0x0304,
            ciphers: vec![
                0xDADA, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8,
                0xC013, 0xC014, 0x009C, 0x009D, 0x002F, 0x0035,
            ],
            extensions: vec![
                0x3A3A, 0x001B, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002D, 0x000D, 0x0005,
                0x0023, 0x0012, 0x002B, 0xFF01, 0x000B, 0x000A, 0x0015, 0x8A8A,
            ],
            alpn: Some(b"h2".to_vec()),
            signature_algorithms: vec![
                0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601,
            ],
        };
        assert_eq!(offer.ja4(), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    /// Published by a checker that shows what it hashed (shigshag.com/tools/ja4).
    #[test]
    fn a_signalling_cipher_suite_counts() {
        let offer = Offer {
            version: 0x0304,
            ciphers: vec![
                0x1302, 0x1303, 0x1301, 0xC02C, 0xC030, 0xC02B, 0xC02F, 0xCCA9, 0xCCA8, 0x00FF,
            ],
            extensions: vec![
                0x0000, 0x0010, 0x0005, 0x000A, 0x000B, 0x000D, 0x0017, 0x0023, 0x002B, 0x002D,
                0x0033,
            ],
            alpn: Some(b"h2".to_vec()),
            signature_algorithms: vec![
                0x0503, 0x0403, 0x0807, 0x0806, 0x0805, 0x0804, 0x0601, 0x0501, 0x0401,
            ],
        };
        assert_eq!(offer.ja4(), "t13d1011h2_61a7ad8aa9b6_3fcd1a44f3e3");
    }

    #[test]
    fn what_is_remembered_is_the_same_and_bounded() {
        let mut fingerprints = Fingerprints::default();
        let offer = |cipher: u16, count: usize| Offer {
            ciphers: vec![cipher; count],
            ..Offer::default()
        };
        for number in 0..1000_u16 {
            for _ in 0..2 {
                let named = fingerprints.of(offer(number, 3));
                assert_eq!(*named, *offer(number, 3).ja4());
            }
            assert!(fingerprints.0.len() <= MAX_REMEMBERED);
        }
        fingerprints.of(offer(7, MAX_VALUES + 1));
        assert!(fingerprints.0.keys().all(|offer| offer.values() <= 3));
    }

    #[test]
    fn what_is_not_offered_is_zeros() {
        let nothing = Offer::default().ja4();
        assert_eq!(nothing, "t00i000000_000000000000_000000000000");
        let protocol = |alpn: &[u8]| Offer {
            version: 0x0303,
            alpn: Some(alpn.to_vec()),
            ..Offer::default()
        };
        assert!(protocol(b"tds/8.0").ja4().starts_with("t12i0000t0_"));
        assert!(protocol(b"x").ja4().starts_with("t12i0000xx_"));
        assert!(protocol(b"").ja4().starts_with("t12i000000_"));
        assert!(protocol(b"\xABh\xCD").ja4().starts_with("t12i0000ad_"));
    }
}
