//! Whether a connection on an unknown port is SQL Server's: its first exchange must prove it.

use tracer_ebpf::{
    event::{Direction, Event},
    packet::Segment,
};

use crate::{capture::be16, record::LossReason};

/// Inputs held back of one connection; a first exchange has far fewer.
const MAX_HELD: usize = 64;

const REPLY: u8 = 4;
const PRELOGIN: u8 = 0x12;
const END_OF_MESSAGE: u8 = 1;
const TDS_HEADER: u16 = 8;
/// Before TDS 7.2 agrees on a packet size, none is longer (MS-TDS 2.2.3.1.3).
const MAX_PACKET: u16 = 4096;
/// VERSION, the first option: its token, and its length (MS-TDS 2.2.6.5).
const VERSION: (u8, u16) = (0, 6);

const TLS_HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// TDS 8.0 in ALPN, with its length.
const ALPN_TDS_8: &[u8] = b"\x07tds/8.0";

/// What was held back of a connection.
#[derive(Debug, Default)]
pub(super) struct Candidate {
    pub(super) held: Vec<Held>,
    asked: bool,
}

#[derive(Debug)]
pub(super) enum Held {
    Event(Box<Event>, Vec<u8>),
    Checksum(Direction, bool),
    Loss(LossReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Proven,
    Stranger,
    Open,
}

impl Candidate {
    /// Judges by one more packet, of which `kept` was kept.
    pub(super) fn judge(&mut self, segment: &Segment, from: Direction, kept: &[u8]) -> Verdict {
        if self.held.len() > MAX_HELD {
            return Verdict::Stranger;
        }
        if segment.payload_len == 0 {
            return Verdict::Open;
        }
        let payload = kept.get(segment.payload_at as usize..).unwrap_or_default();
        match (from, self.asked) {
            (Direction::ToServer, false) if is_prelogin(payload, &[PRELOGIN]) => {
                self.asked = true;
                Verdict::Open
            }
            (Direction::ToServer, false) if is_strict_hello(payload) => Verdict::Proven,
            // A retransmission.
            (Direction::ToServer, true) => Verdict::Open,
            (Direction::ToClient, true) if is_prelogin(payload, &[REPLY, PRELOGIN]) => {
                Verdict::Proven
            }
            _ => Verdict::Stranger,
        }
    }
}

/// A whole prelogin message: header, and a table that begins with VERSION and points behind itself.
fn is_prelogin(payload: &[u8], kinds: &[u8]) -> bool {
    let Some(&[kind, status, ..]) = payload.first_chunk::<2>() else {
        return false;
    };
    let (Some(length), Some(&token), Some(offset), Some(version)) = (
        be16(payload, 2),
        payload.get(8),
        be16(payload, 9),
        be16(payload, 11),
    ) else {
        return false;
    };
    kinds.contains(&kind)
        && status & END_OF_MESSAGE != 0
        && length <= MAX_PACKET
        && (token, version) == VERSION
        && offset >= 6
        && u32::from(offset) + u32::from(version) + u32::from(TDS_HEADER) <= u32::from(length)
}

/// TLS first, which offers TDS 8.0 and so means it: TDS 7 has its TLS inside its own packets.
fn is_strict_hello(payload: &[u8]) -> bool {
    payload.first() == Some(&TLS_HANDSHAKE)
        && payload.get(5) == Some(&CLIENT_HELLO)
        && payload
            .windows(ALPN_TDS_8.len())
            .any(|name| name == ALPN_TDS_8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FreeTDS: VERSION, ENCRYPTION, INSTOPT, THREADID, MARS.
    const REQUEST: &[u8] = &[
        0x12, 1, 0, 0x2F, 0, 0, 0, 0, 0, 0, 0x1A, 0, 6, 1, 0, 0x20, 0, 1, 2, 0, 0x21, 0, 1, 3, 0,
        0x22, 0, 4, 4, 0, 0x26, 0, 1, 0xFF, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];

    #[test]
    fn a_prelogin_is_recognised_by_its_table() {
        assert!(is_prelogin(REQUEST, &[PRELOGIN]));
        assert!(!is_prelogin(REQUEST, &[REPLY]));
        for (at, value) in [(1, 0), (2, 0x20), (8, 1), (10, 0xF0), (12, 5)] {
            let mut other = REQUEST.to_vec();
            other[at] = value;
            assert!(!is_prelogin(&other, &[PRELOGIN]), "byte {at}");
        }
        for length in 0..13 {
            assert!(!is_prelogin(&REQUEST[..length], &[PRELOGIN]));
        }
    }

    #[test]
    fn other_protocols_are_strangers() {
        let tls = [&[22, 3, 1, 0, 40, 1, 0, 0, 36][..], &[3; 36]].concat();
        let http_2 = [&tls[..], b"\x02h2"].concat();
        let strict = [&tls[..], ALPN_TDS_8].concat();
        assert!(is_strict_hello(&strict));
        for payload in [
            &tls[..],
            &http_2,
            b"GET / HTTP/1.1\r\n\r\n",
            b"SSH-2.0-x",
            &[],
        ] {
            assert!(!is_strict_hello(payload) && !is_prelogin(payload, &[PRELOGIN, REPLY]));
        }
    }
}
