//! A client's first bytes: whether only a client of SQL Server begins so.
//!
//! They are asked of connections on ports that nobody has named, so a rule is strict: whatever another
//! protocol may begin with by chance is left to it. Nothing of a name, a password or a certificate is read,
//! but for the lengths that say where the next field is.

use core::ops::RangeInclusive;

use crate::{
    bytes::Bytes,
    framing::{self, Boundary, Framing, TDS_HEADER, content_type, packet_type},
};

/// What a client of SQL Server begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// PRELOGIN.
    Prelogin,
    /// LOGIN7: PRELOGIN may be left out (jTDS without TLS does).
    Login,
    /// The login of TDS 4.2 or 5.0.
    OldLogin,
    /// TLS that offers TDS 8.0, and so means it: TDS 7 has its TLS inside its own packets.
    Strict,
}

/// Before TDS 7.2 agrees on a packet size, none is longer (MS-TDS 2.2.3.1.3).
const MAX_PACKET: u32 = 4096;
/// What names an option of PRELOGIN: its token, offset and length (MS-TDS 2.2.6.5).
const OPTION: u32 = 5;
/// The options that a client sends are fewer.
const MAX_OPTIONS: u32 = 12;
const VERSION: u8 = 0;
const VERSION_LEN: u32 = 6;
const TERMINATOR: u8 = 0xFF;
/// The fixed part of a LOGIN7 of TDS 7.0 (MS-TDS 2.2.6.4).
const LOGIN7_FIXED: u32 = 86;
/// TDS 7.0 to 7.4, as the highest byte of LOGIN7's version.
const VERSIONS: RangeInclusive<u8> = 0x70..=0x74;
/// The longest name of an old login.
const NAME_LEN: u8 = 30;
/// Where the lengths of its names are: of host, user, password, process, application and server.
const NAME_LENGTHS: [u32; 6] = [30, 61, 92, 123, 170, 201];
/// Where its version is.
const OLD_VERSION: u32 = 458;
/// The message of TLS that a client begins with.
pub(crate) const CLIENT_HELLO: u8 = 1;
/// From the record's start to the session's id: headers, version and random.
const SESSION_ID: u32 = 43;
const ALPN: u16 = 16;
/// A hello has about 20 extensions.
const MAX_EXTENSIONS: u32 = 32;
const MAX_NAMES: u32 = 4;
/// TDS 8.0 in ALPN, with its length.
const ALPN_TDS_8: [u8; 8] = *b"\x07tds/8.0";

/// What the payload of `len` bytes at `at` in a packet begins, as a client's first.
#[inline(always)]
pub fn first<B: Bytes + ?Sized>(packet: &B, at: u32, len: u32) -> Option<First> {
    let prefix: [u8; 8] = packet.load(at)?;
    if len < prefix.len() as u32 {
        return None;
    }
    let Boundary::Header(header) = framing::read(&prefix, len) else {
        return None;
    };
    if header.framing == Framing::Tls {
        let is_hello = header.kind == content_type::HANDSHAKE && prefix[5] == CLIENT_HELLO;
        return (is_hello && offers_tds(packet, at, len)).then_some(First::Strict);
    }
    if header.framing != Framing::Tds || header.len > MAX_PACKET {
        return None;
    }
    let (body, room) = (at + TDS_HEADER, header.len - TDS_HEADER);
    let ends = header.ends_message();
    match header.kind {
        packet_type::PRELOGIN if ends => {
            is_table(packet, body, room, len - TDS_HEADER).then_some(First::Prelogin)
        }
        packet_type::LOGIN7 => is_login(packet, body, room, ends).then_some(First::Login),
        packet_type::PRE_TDS7_LOGIN => is_old_login(packet, body, room).then_some(First::OldLogin),
        _ => None,
    }
}

/// A table of PRELOGIN's options: VERSION first, each within the message, and an end, as far as the first
/// `there` bytes of it go.
#[inline(always)]
fn is_table<B: Bytes + ?Sized>(packet: &B, body: u32, room: u32, there: u32) -> bool {
    for index in 0..MAX_OPTIONS {
        let at = index * OPTION;
        // It is cut: a version at least is there.
        if index > 0 && at + OPTION > there {
            return there < room || ends_at(packet, body + at);
        }
        let Some([token, o1, o0, l1, l0]) = packet.load::<5>(body + at) else {
            return false;
        };
        if index > 0 && token == TERMINATOR {
            return true;
        }
        let offset = u32::from(u16::from_be_bytes([o1, o0]));
        let len = u32::from(u16::from_be_bytes([l1, l0]));
        let is_behind = len == 0 || (offset > at && offset + len <= room);
        let is_first = token == VERSION;
        if is_first != (index == 0) || (is_first && len != VERSION_LEN) || !is_behind {
            return false;
        }
    }
    false
}

#[inline(always)]
fn ends_at<B: Bytes + ?Sized>(packet: &B, at: u32) -> bool {
    packet.load::<1>(at) == Some([TERMINATOR])
}

/// The start of a LOGIN7: of a version there is, and as long as its packet says, or longer where more
/// packets follow.
#[inline(always)]
fn is_login<B: Bytes + ?Sized>(packet: &B, body: u32, room: u32, ends: bool) -> bool {
    let Some([l0, l1, l2, l3, .., version]) = packet.load::<8>(body) else {
        return false;
    };
    let len = u32::from_le_bytes([l0, l1, l2, l3]);
    let agrees = if ends { len == room } else { len > room };
    agrees && len >= LOGIN7_FIXED && VERSIONS.contains(&version)
}

/// A login record of TDS 4.2 or 5.0, as far as names and version.
#[inline(always)]
fn is_old_login<B: Bytes + ?Sized>(packet: &B, body: u32, room: u32) -> bool {
    let mut names = 0;
    for at in NAME_LENGTHS {
        match packet.load::<1>(body + at) {
            Some([len]) if len <= NAME_LEN => names |= len,
            _ => return false,
        }
    }
    let version = packet.load(body + OLD_VERSION);
    names != 0
        && room >= OLD_VERSION + 4
        && matches!(version, Some([4, 2 | 6, 0, 0] | [5, 0, 0, 0]))
}

/// Whether a `ClientHello` offers TDS 8.0 by ALPN (RFC 7301), as far as it is in this packet.
#[inline(always)]
fn offers_tds<B: Bytes + ?Sized>(packet: &B, at: u32, len: u32) -> bool {
    extension(packet, at, at + len, ALPN).is_some_and(|names| names_tds(packet, names))
}

/// Where the list in a hello's extension of this kind begins.
#[inline(always)]
pub(crate) fn extension<B: Bytes + ?Sized>(
    packet: &B,
    at: u32,
    end: u32,
    kind: u16,
) -> Option<u32> {
    let [session] = packet.load(at + SESSION_ID)?;
    let mut at = at + SESSION_ID + 1 + u32::from(session);
    let ciphers = u16::from_be_bytes(packet.load(at)?);
    at += 2 + u32::from(ciphers);
    let [compressions] = packet.load(at)?;
    at += 1 + u32::from(compressions) + 2;
    for _ in 0..MAX_EXTENSIONS {
        let [k1, k0, l1, l0] = packet.load(at)?;
        if at >= end {
            return None;
        }
        if u16::from_be_bytes([k1, k0]) == kind {
            // Behind its own header and the list's length.
            return Some(at + 6);
        }
        at += 4 + u32::from(u16::from_be_bytes([l1, l0]));
    }
    None
}

#[inline(always)]
fn names_tds<B: Bytes + ?Sized>(packet: &B, names: u32) -> bool {
    let mut at = names;
    for _ in 0..MAX_NAMES {
        let Some(name) = packet.load::<8>(at) else {
            return false;
        };
        if u64::from_ne_bytes(name) == u64::from_ne_bytes(ALPN_TDS_8) {
            return true;
        }
        at += 1 + u32::from(name[0]);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `FreeTDS`: VERSION, ENCRYPTION, INSTOPT, THREADID, MARS.
    const PRELOGIN: &[u8] = &[
        0x12, 1, 0, 0x2F, 0, 0, 0, 0, 0, 0, 0x1A, 0, 6, 1, 0, 0x20, 0, 1, 2, 0, 0x21, 0, 1, 3, 0,
        0x22, 0, 4, 4, 0, 0x26, 0, 1, 0xFF, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    /// jTDS 1.3.1 without TLS: the first packet of the connection, up to the first field.
    const LOGIN: &[u8] = &[
        0x10, 1, 0, 0xB0, 0, 0, 1, 0, 0xA8, 0, 0, 0, 0, 0, 0, 0x71, 0, 0, 0, 0, 7, 0, 0, 0, 0x7B,
        0, 0, 0, 0, 0, 0, 0, 0xE0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x56, 0,
    ];

    fn of(payload: &[u8]) -> Option<First> {
        first(payload, 0, payload.len() as u32)
    }

    #[test]
    fn a_prelogin_is_known_by_its_table_of_options() {
        assert_eq!(of(PRELOGIN), Some(First::Prelogin));
        for (at, value) in [
            (0, 4),
            (1, 0),
            (2, 0x20),
            (8, 1),
            (10, 0xF0),
            (12, 5),
            (13, 0),
        ] {
            let mut other = PRELOGIN.to_vec();
            other[at] = value;
            assert_eq!(of(&other), None, "byte {at}");
        }
        for len in 0..13 {
            assert_eq!(of(&PRELOGIN[..len]), None, "{len} bytes");
        }
        assert_eq!(of(&PRELOGIN[..20]), Some(First::Prelogin), "cut");
        let alone = [
            &[0x12, 1, 0, 20, 0, 0, 0, 0, 0, 0, 6, 0, 6, 0xFF][..],
            &[0; 6],
        ]
        .concat();
        assert_eq!(of(&alone), Some(First::Prelogin), "a version and no more");
    }

    #[test]
    fn a_login_is_known_by_its_length_and_version() {
        assert_eq!(of(LOGIN), Some(First::Login));
        for (at, value) in [(3, 0xB1), (8, 0xA9), (15, 0x60), (15, 0x75)] {
            let mut other = LOGIN.to_vec();
            other[at] = value;
            assert_eq!(of(&other), None, "byte {at}");
        }
    }

    #[test]
    fn an_old_login_is_known_by_the_lengths_of_its_names_and_its_version() {
        let mut login = vec![0; 512];
        login[..4].copy_from_slice(&[2, 0, 2, 0]);
        login[8 + 30] = 3;
        login[8 + 458] = 5;
        assert_eq!(of(&login), Some(First::OldLogin));
        for (at, value) in [(8 + 30, 0), (8 + 61, 31), (8 + 458, 3), (2, 1)] {
            let mut other = login.clone();
            other[at] = value;
            assert_eq!(of(&other), None, "byte {at}");
        }
        assert_eq!(of(&login[..400]), None);
    }

    /// A hello with these names in ALPN, behind another extension.
    fn hello(names: &[&[u8]]) -> Vec<u8> {
        let list: Vec<u8> = names
            .iter()
            .flat_map(|name| [&[name.len() as u8], *name].concat())
            .collect();
        let len = list.len() as u8;
        let extensions = [&[0, 23, 0, 0, 0, 16, 0, len + 2, 0, len], &list[..]].concat();
        let mut body = vec![3; 34];
        body.push(0);
        body.extend([0, 2, 0x13, 1, 1, 0]);
        body.extend([0, extensions.len() as u8]);
        body.extend(extensions);
        let len = body.len() as u8;
        [&[22, 3, 1, 0, len + 4, 1, 0, 0, len], &body[..]].concat()
    }

    #[test]
    fn tls_is_known_by_offering_tds_8() {
        assert_eq!(of(&hello(&[b"tds/8.0"])), Some(First::Strict));
        assert_eq!(of(&hello(&[b"h2", b"tds/8.0"])), Some(First::Strict));
        for names in [&[&b"h2"[..], b"http/1.1"][..], &[b"tds/8.1"], &[]] {
            assert_eq!(of(&hello(names)), None, "{names:?}");
        }
        let whole = hello(&[b"tds/8.0"]);
        for len in 0..whole.len() {
            assert_eq!(of(&whole[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn other_protocols_are_none() {
        let zeros = [0; 600];
        for payload in [
            &b"GET / HTTP/1.1\r\nHost: example\r\n\r\n"[..],
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
            &zeros,
            &[],
        ] {
            assert_eq!(of(payload), None);
        }
        // Whatever follows a first byte and a length that fit.
        for kind in [2, 0x10, 0x12, 22] {
            for fill in 0..=255 {
                let mut payload = vec![fill; 600];
                payload[..8].copy_from_slice(&[kind, 1, 2, 0, 0, 0, 1, 0]);
                assert_eq!(of(&payload), None, "{kind:x} and {fill:x}");
            }
        }
    }
}
