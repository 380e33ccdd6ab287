//! Short records: what most events say fits into a third of an [`Event`]. One that says more is told whole.

use crate::{
    event::{Counters, Direction, Event, Kind},
    flow::FlowKey,
    framing::{Framing, HEADER_PREFIX},
    layout::record,
    packet::tcp_flag,
    seq::Seq,
};

/// As long as these records are: a line of the processor's cache.
pub const SIZE: usize = 64;
/// One of so many headers of a direction is told whole, with what both sides have sent so far.
pub const WHOLE_EVERY: u32 = 16;
/// See [`ShortHeader::since_other`].
pub const NEVER: u32 = u32::MAX;

record! {
    /// The first SYN of a connection, or the first answer to it, at a point that is not beside sockets.
    ShortSyn {
        /// [`Kind::ShortSyn`].
        kind: u8,
        /// See [`Event::tcp_flags`]: with ACK it is the answer.
        tcp_flags: u8,
        /// See [`Event::ttl`].
        ttl: u8,
        /// See [`Event::client_is_a`].
        client_is_a: u8,
        /// See [`Event::window`].
        window: u16,
        /// See [`Event::ifindex`].
        ifindex: u16,
        /// See [`Event::time`].
        time: u64,
        /// See [`Event::key`].
        key: FlowKey,
        /// See [`Event::seq`].
        seq: Seq,
        /// See [`Event::ack`].
        ack: Seq,
        /// How long before that the connection was born, nanoseconds.
        since_born: u32,
    }
}

record! {
    /// A header of TDS or TLS, or a message's end, of a connection that has answered a request; at a point that
    /// is not beside sockets. Of what both sides have sent it says only when.
    ShortHeader {
        /// [`Kind::ShortHeader`].
        kind: u8,
        /// [`Kind::Header`] or [`Kind::End`].
        what: u8,
        /// See [`Event::direction`].
        direction: u8,
        /// See [`Event::marks`].
        marks: u8,
        /// See [`Event::ttl`].
        ttl: u8,
        /// See [`Event::framing`].
        framing: u8,
        /// The first bytes of [`Event::header`].
        header: [u8; 2],
        /// See [`Event::time`]. Its side has sent payload then.
        time: u64,
        /// See [`Event::key`].
        key: FlowKey,
        /// The lower half of [`Event::born`].
        born: u32,
        /// How long before that the other side has sent payload, nanoseconds; [`NEVER`] where it has not.
        since_other: u32,
        /// See [`Event::packet_len`].
        packet_len: u16,
        /// The lower half of [`Event::number`].
        number: u16,
    }
}

const _: () = assert!(ShortSyn::SIZE == SIZE && ShortHeader::SIZE == SIZE);
/// So that the agent, which knows the number before, can tell which one this is.
const _: () = assert!(WHOLE_EVERY < u16::MAX as u32);

impl ShortSyn {
    /// The event that it is, all of it.
    pub fn event(&self) -> Event {
        let is_answer = self.tcp_flags & tcp_flag::ACK != 0;
        let client = Counters {
            packets: 1,
            isn: if is_answer {
                self.ack.back(1)
            } else {
                self.seq
            },
            ..Counters::default()
        };
        let server = Counters {
            packets: 1,
            isn: self.seq,
            acked_at: self.time,
            ..Counters::default()
        };
        let (kind, direction) = if is_answer {
            (Kind::SynAck, Direction::ToClient)
        } else {
            (Kind::Syn, Direction::ToServer)
        };
        Event {
            kind: kind as u8,
            direction: direction as u8,
            tcp_flags: self.tcp_flags,
            ttl: self.ttl,
            window: self.window,
            time: self.time,
            born: self.time.wrapping_sub(u64::from(self.since_born)),
            number: 1,
            ifindex: u32::from(self.ifindex),
            key: self.key,
            client_is_a: self.client_is_a,
            seq: self.seq,
            ack: self.ack,
            run_seq: self.seq.add(1),
            client,
            server: if is_answer {
                server
            } else {
                Counters::default()
            },
            ..Event::default()
        }
    }
}

impl ShortHeader {
    /// The event that it is, of a connection whose last event was `before` in every respect that this does not
    /// speak of, and whose last one in this direction had the number `last`.
    pub fn event(&self, before: &Event, last: u32) -> Event {
        let ahead = self.number.wrapping_sub(last as u16).cast_signed();
        let mut event = Event {
            kind: self.what,
            direction: self.direction,
            marks: self.marks,
            tcp_flags: tcp_flag::ACK,
            ttl: self.ttl,
            framing: self.framing,
            window: 0,
            time: self.time,
            number: last.wrapping_add_signed(i32::from(ahead)),
            parts: 0,
            run_seq: Seq(0),
            run_len: 0,
            packet_len: u32::from(self.packet_len),
            header: [0; HEADER_PREFIX as usize],
            ..*before
        };
        event.header[..2].copy_from_slice(&self.header);
        let other = match self.since_other {
            NEVER => 0,
            since => self.time.wrapping_sub(u64::from(since)),
        };
        let (own, others) = if self.direction == Direction::ToServer as u8 {
            (&mut event.client, &mut event.server)
        } else {
            (&mut event.server, &mut event.client)
        };
        own.last_data = self.time;
        others.last_data = other;
        event
    }
}

/// Whether a short record may tell a header with this framing; 0 is none, of a message's end.
#[inline(always)]
pub(crate) const fn is_told(framing: u8) -> bool {
    framing != Framing::Smp as u8
}
