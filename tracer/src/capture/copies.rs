//! The same packet captured more than once: by both hosts, by a mirrored port, on several interfaces.
//!
//! A packet and its copy agree in what TCP says and in what tells one sending from the next: IPv4's
//! identification and TCP's timestamps. Their checksums and times to live differ, their times too
//! where two clocks measured them, and so do their limits where a network card cuts or joins segments
//! on one of the hosts.

use std::{collections::VecDeque, hash::BuildHasher as _};

use foldhash::fast::FixedState;
use tracer_ebpf::{
    packet::{
        Segment,
        tcp_flag::{ACK, FIN, RST, SYN},
    },
    seq::Seq,
};

use super::sighted::Sighted;

/// How far a copy's time is from the first one's, nanoseconds: two clocks may differ by some of it, and
/// the packet was under way. No host sends again so soon for want of an answer.
const WINDOW: u64 = 190_000_000;
/// Packets of a connection that a copy is looked for among, while it is open whether there are any:
/// a login and its first requests.
const LOOKED: usize = 64;
/// The same where there are copies: so many may pass before the other clock has come as far.
const WITH_COPIES: usize = 512;
/// The same where there are none.
const WITHOUT_COPIES: usize = 8;
/// Packets without a copy, after which there are none.
const NONE_AFTER: u32 = 256;

/// The last packets of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Copies {
    last: VecDeque<Print>,
    /// How far each side has come, and how far it has acknowledged the other.
    reached: [Option<(Seq, Seq)>; 2],
    /// Packets since the last copy.
    without: u32,
    copied: bool,
}

/// What a packet is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Print {
    time: u64,
    from: Seq,
    to: Seq,
    ack: Seq,
    /// Value of the timestamps option; 0 where there is none.
    timestamp: u32,
    /// Of options and window, where there is no payload that tells one packet from the next.
    bare: u32,
    /// IPv4's identification; 0 where there is none.
    id: u16,
    flags: u8,
    from_a: bool,
}

impl Copies {
    /// Whether this packet was seen a moment ago; else it is remembered.
    pub(super) fn is_copy(&mut self, segment: &Segment, packet: &Sighted<'_>) -> bool {
        let print = Print::of(segment, packet);
        while let Some(first) = self.last.front()
            && (self.last.len() >= self.room() || !print.is_near(first))
        {
            self.last.pop_front();
        }
        if !self.goes_on(&print) && self.has(&print) {
            self.without = 0;
            self.copied = true;
            return true;
        }
        self.reach(&print);
        self.without = self.without.saturating_add(1);
        self.last.push_back(print);
        false
    }

    /// Whether a packet says more than any before it, as most do: then it is no copy.
    fn goes_on(&self, print: &Print) -> bool {
        self.reached[usize::from(print.from_a)]
            .is_none_or(|(to, ack)| print.to.after(to) || print.ack.after(ack))
    }

    fn reach(&mut self, print: &Print) {
        let reached = &mut self.reached[usize::from(print.from_a)];
        // A SYN begins anew.
        let before = reached.filter(|_| print.flags & SYN == 0);
        *reached = Some(before.map_or((print.to, print.ack), |(to, ack)| {
            (to.max(print.to), ack.max(print.ack))
        }));
    }

    fn room(&self) -> usize {
        if self.copied {
            WITH_COPIES
        } else if self.without < NONE_AFTER {
            LOOKED
        } else {
            WITHOUT_COPIES
        }
    }

    fn has(&self, print: &Print) -> bool {
        let seen = || self.last.iter().rev().filter(|seen| seen.is_near(print));
        if seen().any(|seen| seen.is_same(print)) {
            return true;
        }
        if print.from == print.to || print.flags & (SYN | RST) != 0 {
            return false;
        }
        // Cut or joined otherwise: all of it must be there, piece by piece.
        let mut at = print.from;
        while at.before(print.to) {
            let Some(piece) = seen().find(|seen| seen.has_part_of(print, at)) else {
                return false;
            };
            at = piece.to;
        }
        true
    }
}

impl Print {
    fn of(segment: &Segment, packet: &Sighted<'_>) -> Self {
        let bytes = packet.network.1;
        let options = options(segment, bytes);
        let is_bare = segment.payload_len == 0 && !segment.has(SYN);
        Self {
            time: packet.time_ns,
            from: segment.start(),
            to: segment.end(),
            ack: segment.ack,
            timestamp: timestamp(options).unwrap_or(0),
            bare: if is_bare {
                FixedState::default().hash_one((options, segment.window)) as u32
            } else {
                0
            },
            id: identification(bytes),
            flags: segment.flags & (SYN | FIN | RST | ACK),
            from_a: segment.from_a,
        }
    }

    fn is_near(&self, other: &Self) -> bool {
        self.time.abs_diff(other.time) <= WINDOW
    }

    /// Whether both are the same packet, whole.
    fn is_same(&self, other: &Self) -> bool {
        let time = self.time;
        *self == Self { time, ..*other }
    }

    /// Whether this has the byte at `at` of another packet that was cut or joined out of the same
    /// sending. Pieces share what their headers say, but for the identification, which counts on from
    /// piece to piece, and the FIN, which is the last one's.
    fn has_part_of(&self, other: &Self, at: Seq) -> bool {
        let within = |at: Seq| !at.before(self.from) && at.before(self.to);
        if self.from_a != other.from_a
            || self.ack != other.ack
            || self.timestamp != other.timestamp
            || !within(at)
        {
            return false;
        }
        let ends = |print: &Self| print.flags & FIN != 0;
        let fin_agrees = match self.to.since(other.to) {
            0 => ends(self) == ends(other),
            1.. => !ends(other),
            _ => !ends(self),
        };
        fin_agrees && self.counts_on(other)
    }

    /// Whether the identifications are as far apart as the pieces are, which are all of one length but
    /// the last. A piece that is sent again has the identification after all that were sent.
    fn counts_on(&self, other: &Self) -> bool {
        if self.id == 0 && other.id == 0 {
            return true;
        }
        let apart = i32::from(other.id.wrapping_sub(self.id).cast_signed());
        let bytes = other.from.since(self.from);
        if bytes == 0 || apart == 0 {
            return bytes == apart;
        }
        bytes % apart == 0 && bytes / apart >= LEAST_PIECE
    }
}

/// What the least pieces hold that a network card cuts: those of IPv6's least packet.
const LEAST_PIECE: i32 = 1200;

/// IPv4's identification, which counts the sender's packets; 0 where it says nothing.
fn identification(bytes: &[u8]) -> u16 {
    match bytes {
        [version, _, _, _, high, low, ..] if version >> 4 == 4 => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

/// TCP's options. Behind extension headers of IPv6 they are not looked for.
fn options<'a>(segment: &Segment, bytes: &'a [u8]) -> &'a [u8] {
    let tcp_at = match bytes.first() {
        Some(first) if first >> 4 == 4 => usize::from(first & 0x0F) * 4,
        _ if bytes.get(6) == Some(&6) => 40,
        _ => return &[],
    };
    bytes
        .get(tcp_at + 20..segment.payload_at as usize)
        .unwrap_or_default()
}

/// The sender's timestamp (RFC 7323 section 3.2).
fn timestamp(mut options: &[u8]) -> Option<u32> {
    loop {
        match *options {
            [1, ref rest @ ..] => options = rest,
            [8, 10, a, b, c, d, ..] => return Some(u32::from_be_bytes([a, b, c, d])),
            [kind, len, ..] if kind != 0 && len >= 2 => {
                options = options.get(usize::from(len)..)?;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests;
