//! The name that a `ClientHello` asks for, where no more of it is wanted or at hand.

use tls_parser::{SNIType, TlsExtension, parse_tls_client_hello_extension};

use super::{HANDSHAKE_HEADER_LEN, RECORD_HEADER_LEN, content_type, slice};
use crate::tds::reader::Reader;

/// The handshake message.
const CLIENT_HELLO: u8 = 1;
/// Version and random.
const FIXED: usize = 2 + 32;
/// `server_name` (RFC 6066 section 3).
const SERVER_NAME: u16 = 0;
/// The longest name of a host.
const LONGEST: usize = 255;

/// The server name that the first bytes of a connection ask for; `None` where they are no hello, ask for none, or
/// end before it.
pub fn server_name(bytes: &[u8]) -> Option<String> {
    let is_hello = bytes.first() == Some(&content_type::HANDSHAKE)
        && bytes.get(RECORD_HEADER_LEN) == Some(&CLIENT_HELLO);
    let start = RECORD_HEADER_LEN + HANDSHAKE_HEADER_LEN + FIXED;
    let mut reader = Reader::starting_at(bytes, start);
    let session = reader.u8().filter(|_| is_hello)?;
    reader.take(session.into())?;
    let ciphers = reader.u16_be()?;
    reader.take(ciphers.into())?;
    let compressions = reader.u8()?;
    reader.take(compressions.into())?;
    reader.u16_be()?;
    loop {
        let start = reader.at();
        let (kind, len) = (reader.u16_be()?, reader.u16_be()?);
        reader.take(len.into())?;
        if kind != SERVER_NAME {
            continue;
        }
        let raw = slice(bytes, start, reader.at() - start)?;
        let Ok((_, TlsExtension::SNI(names))) = parse_tls_client_hello_extension(raw) else {
            return None;
        };
        let mut hosts = names.iter().filter(|(kind, _)| *kind == SNIType::HostName);
        let (_, name) = hosts.next().filter(|(_, name)| name.len() <= LONGEST)?;
        return Some(String::from_utf8_lossy(name).into_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two cipher suites, an extension without content, then the name.
    fn hello(name: &str) -> Vec<u8> {
        let len = name.len() as u16;
        let words = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let list: Vec<u8> = words(&[SERVER_NAME, len + 5, len + 3]);
        let extensions = [
            &[0, 23, 0, 0][..],
            &list,
            &[0],
            &len.to_be_bytes(),
            name.as_bytes(),
        ];
        let extensions = extensions.concat();
        let head: Vec<u8> = words(&[4, 0x1301, 0x1302]);
        let tail = [
            &[1, 0][..],
            &(extensions.len() as u16).to_be_bytes(),
            &extensions,
        ]
        .concat();
        let body = [&[3; FIXED][..], &[0], &head, &tail].concat();
        let message = [&[CLIENT_HELLO, 0, 0, body.len() as u8], &body[..]].concat();
        [&[22, 3, 1, 0, message.len() as u8], &message[..]].concat()
    }

    #[test]
    fn the_name_is_known_once_it_is_there_and_never_guessed() {
        let whole = hello("login.microsoftonline.com");
        assert_eq!(
            server_name(&whole).as_deref(),
            Some("login.microsoftonline.com")
        );
        for len in 0..whole.len() {
            assert_eq!(server_name(&whole[..len]), None, "{len} bytes");
        }
        let mut other = whole;
        other[0] = content_type::ALERT;
        assert_eq!(server_name(&other), None);
    }
}
