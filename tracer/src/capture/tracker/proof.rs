//! Whether a connection on an unknown port is SQL Server's: its first exchange must prove it.

use tracer_ebpf::{
    event::{Direction, Event},
    first::{First, first},
    flow::FlowKey,
    framing::{self, Boundary, Framing, Header, TDS_HEADER, packet_type},
    packet::{Segment, tcp_flag},
};

use crate::{
    record::LossReason,
    session::{Checksum, Engine, Input, Listener},
    tds::prelogin::Prelogin,
};

/// Inputs held back of one connection; a first exchange has far fewer.
const MAX_HELD: usize = 64;

/// Before TDS 7.2 agrees on a packet size, none is longer (MS-TDS 2.2.3.1.3).
const MAX_PACKET: u32 = 4096;
/// What names an option of PRELOGIN: its token, offset and length (MS-TDS 2.2.6.5).
const OPTION: usize = 5;
/// The tokens a reply to a login may begin with: ERROR, INFO, LOGINACK, ENVCHANGE, SSPI, FEDAUTHINFO.
const FIRST_TOKENS: [u8; 6] = [0xAA, 0xAB, 0xAD, 0xE3, 0xED, 0xEE];

/// What a server answers PRELOGIN with: its own type, and the client's where it mirrors that.
const REPLIES: [u8; 2] = [packet_type::TABULAR_RESULT, packet_type::PRELOGIN];

/// Whether a segment may be the first of a connection that proves to be SQL Server's: a SYN, the
/// answer to one, or what only a client of it begins with. `kept` was kept of the packet.
pub(super) fn begins(segment: &Segment, kept: &[u8]) -> bool {
    if segment.has(tcp_flag::SYN) {
        return true;
    }
    begun(payload(segment, kept)).is_some()
}

/// What a client of SQL Server begins with these bytes.
fn begun(payload: &[u8]) -> Option<First> {
    first(payload, 0, payload.len() as u32)
}

fn payload<'a>(segment: &Segment, kept: &'a [u8]) -> &'a [u8] {
    let from = kept.get(segment.payload_at as usize..).unwrap_or_default();
    // Behind it an Ethernet frame may be filled up.
    &from[..from.len().min(segment.payload_len as usize)]
}

/// What was held back of a connection.
#[derive(Debug, Default)]
pub(super) struct Candidate {
    held: Vec<Held>,
    held_bytes: usize,
    asked: Option<Asked>,
}

/// What the client began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Prelogin,
    /// The login itself.
    Login,
}

#[derive(Debug)]
pub(super) enum Held {
    Event(Box<Event>, Vec<u8>),
    Checksum(Direction, Checksum),
    CutLogin,
    Cut(Direction),
    Loss(LossReason),
}

impl Held {
    /// Tells the engine what was held back of a connection.
    pub(super) fn tell(&self, key: FlowKey, engine: &mut Engine, to: &mut dyn Listener) {
        let input = match self {
            Self::Event(event, run) => Input::Event(event, run),
            &Self::Checksum(direction, checksum) => Input::Checksum {
                key,
                direction,
                checksum,
            },
            Self::CutLogin => Input::CutLogin(key),
            Self::Cut(direction) => Input::Cut(key, *direction),
            Self::Loss(reason) => Input::Loss(*reason, 1),
        };
        engine.on_event(input, to);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Proven,
    Stranger,
    Open,
}

impl Candidate {
    pub(super) fn hold(&mut self, held: Held) {
        self.held_bytes += size_of::<Held>();
        if let Held::Event(_, run) = &held {
            self.held_bytes += size_of::<Event>() + run.len();
        }
        self.held.push(held);
    }

    /// What all that is held back takes up.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    pub(super) fn into_held(self) -> Vec<Held> {
        self.held
    }

    /// Whether the client has begun as one of SQL Server does.
    pub(super) fn has_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Judges by one more packet, of which `kept` was kept.
    pub(super) fn judge(&mut self, segment: &Segment, from: Direction, kept: &[u8]) -> Verdict {
        if self.held.len() > MAX_HELD {
            return Verdict::Stranger;
        }
        if segment.payload_len == 0 {
            return Verdict::Open;
        }
        let payload = payload(segment, kept);
        match (from, self.asked) {
            (Direction::ToServer, None) => match begun(payload) {
                Some(First::Strict) => Verdict::Proven,
                Some(First::Prelogin) => {
                    self.asked = Some(Asked::Prelogin);
                    Verdict::Open
                }
                Some(First::Login | First::OldLogin) => {
                    self.asked = Some(Asked::Login);
                    Verdict::Open
                }
                None => Verdict::Stranger,
            },
            // A retransmission, or the rest of the message.
            (Direction::ToServer, Some(_)) => Verdict::Open,
            (Direction::ToClient, Some(Asked::Prelogin)) if answers_prelogin(payload) => {
                Verdict::Proven
            }
            (Direction::ToClient, Some(Asked::Login)) if is_login_reply(payload) => Verdict::Proven,
            _ => Verdict::Stranger,
        }
    }
}

/// The TDS packet that a payload begins with, no longer than a first one may be, and its body as far
/// as it is there.
fn packet(payload: &[u8]) -> Option<(Header, &[u8])> {
    let mut prefix = [0; 8];
    let known = payload.len().min(prefix.len());
    prefix[..known].copy_from_slice(&payload[..known]);
    match framing::read(&prefix, known as u32) {
        Boundary::Header(header) if header.framing == Framing::Tds && header.len <= MAX_PACKET => {
            let end = payload.len().min(header.len as usize);
            Some((header, payload.get(TDS_HEADER as usize..end)?))
        }
        _ => None,
    }
}

/// A whole answer to PRELOGIN, with a version; where it is cut, at least an option that should be one.
fn answers_prelogin(payload: &[u8]) -> bool {
    let Some((header, body)) = packet(payload) else {
        return false;
    };
    let is_cut = payload.len() < header.len as usize;
    REPLIES.contains(&header.kind)
        && header.ends_message()
        && Prelogin::decode(body)
            .is_ok_and(|prelogin| prelogin.version.is_some() || is_cut && body.len() >= OPTION)
}

/// The start of a reply that can follow a LOGIN7.
fn is_login_reply(payload: &[u8]) -> bool {
    packet(payload).is_some_and(|(header, body)| {
        header.kind == packet_type::TABULAR_RESULT
            && header.status & !framing::status::EOM == 0
            && body
                .first()
                .is_some_and(|token| FIRST_TOKENS.contains(token))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `FreeTDS`' PRELOGIN, as its answer: VERSION, ENCRYPTION, INSTOPT, THREADID, MARS.
    const ANSWER: &[u8] = &[
        0x04, 1, 0, 0x2F, 0, 0, 0, 0, 0, 0, 0x1A, 0, 6, 1, 0, 0x20, 0, 1, 2, 0, 0x21, 0, 1, 3, 0,
        0x22, 0, 4, 4, 0, 0x26, 0, 1, 0xFF, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    /// The start of what a server says to a login: ENVCHANGE.
    const REPLY: &[u8] = &[0x04, 1, 1, 0x61, 0, 0x33, 1, 0, 0xE3, 0x0F, 0, 1];

    #[test]
    fn an_answer_to_prelogin_is_recognised_by_its_table() {
        assert!(answers_prelogin(ANSWER));
        for (at, value) in [(0, 3), (1, 0), (2, 0x20), (8, 1), (10, 0xF0), (12, 5)] {
            let mut other = ANSWER.to_vec();
            other[at] = value;
            assert!(!answers_prelogin(&other), "byte {at}");
        }
        for length in 0..13 {
            assert!(!answers_prelogin(&ANSWER[..length]));
        }
    }

    #[test]
    fn a_reply_to_a_login_is_recognised_by_its_first_token() {
        assert!(is_login_reply(REPLY));
        for (at, value) in [(0, 0x12), (1, 0x20), (2, 0x20), (8, 0x81)] {
            let mut other = REPLY.to_vec();
            other[at] = value;
            assert!(!is_login_reply(&other), "byte {at}");
        }
    }
}
