//! The record of an event, laid out where it lies.

use super::Sighting;
use crate::{
    event::{Counters, Direction, Event, Kind, mark},
    flow::{Flow, FlowKey, usage},
    packet::Segment,
    seq::Seq,
    short::{self, NEVER, ShortHeader, ShortSyn, WHOLE_EVERY},
};

/// What an event says beyond what its packet and connection do.
#[derive(Clone, Copy, Debug)]
pub struct Saying {
    pub(super) kind: Kind,
    pub(super) direction: Direction,
    pub(super) marks: u8,
    pub(super) framing: u8,
    pub(super) parts: u16,
    pub(super) number: u32,
    pub(super) run_seq: Seq,
    pub(super) run_len: u32,
    pub(super) packet_len: u32,
    pub(super) header: [u8; 8],
}

/// An event about to be laid out.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    pub(super) flow: &'a Flow,
    pub(super) segment: &'a Segment,
    pub(super) seen: Sighting,
    pub(super) saying: Saying,
}

impl Told<'_> {
    /// The record.
    #[inline(always)]
    pub fn event(&self) -> Event {
        let mut event = Event::default();
        self.lay_out(&mut event);
        event
    }

    /// Where in the packet a position of its payload lies.
    #[inline(always)]
    pub const fn offset(&self, position: Seq) -> u32 {
        let start = self.segment.start();
        self.segment
            .payload_at
            .wrapping_add(position.0.wrapping_sub(start.0))
    }

    /// Lays the record out where it lies; every field is written.
    #[inline(always)]
    pub fn lay_out(&self, event: &mut Event) {
        let Self {
            flow,
            segment,
            seen,
            saying,
        } = self;
        event.kind = saying.kind as u8;
        event.direction = saying.direction as u8;
        event.marks = saying.marks | (flow.joined_late * mark::JOINED_LATE);
        event.tcp_flags = segment.flags;
        event.ttl = segment.ttl;
        event.framing = saying.framing;
        event.window = segment.window;
        event.time = seen.now;
        event.born = flow.born;
        event.number = saying.number;
        event.ifindex = seen.point.ifindex();
        copy_key(&mut event.key, &segment.key);
        event.client_is_a = flow.client_is_a;
        event.beside = seen.point.beside();
        event.parts = saying.parts;
        // A SYN may have payload, which begins behind it.
        event.seq = match saying.kind {
            Kind::Syn | Kind::SynAck => segment.seq,
            _ => segment.start(),
        };
        event.ack = segment.ack;
        event.payload_len = segment.payload_len;
        event.run_seq = saying.run_seq;
        event.run_len = saying.run_len;
        event.packet_len = saying.packet_len;
        event.header = saying.header;
        copy_counters(&mut event.client, &flow.client().sent);
        copy_counters(&mut event.server, &flow.server().sent);
    }

    /// Whether it is one that a [`ShortSyn`] tells whole. What speaks against that is put together before it is
    /// looked at: the verifier would remember each comparison, and walk all that follows once for each.
    #[inline(always)]
    pub const fn is_short_syn(&self) -> bool {
        let Self {
            flow,
            segment,
            seen,
            saying,
        } = self;
        let (client, server) = (&flow.client().sent, &flow.server().sent);
        let age = seen.now.wrapping_sub(flow.born);
        let beside = seen.point.beside() as u32 | seen.point.ifindex() >> 16;
        let first = saying.number ^ 1 | saying.marks as u32 | flow.joined_late as u32;
        let plain = segment.payload_len | saying.run_len | client.packets ^ 1;
        let strange =
            (beside | first | plain) as u64 | beyond_opening(client) | beyond_opening(server);
        let strange = strange
            | match saying.kind {
                Kind::Syn => {
                    let other = server.packets | client.isn.0 ^ segment.seq.0;
                    age | other as u64 | server.acked_at
                }
                Kind::SynAck => {
                    let isns = client.isn.0 ^ segment.ack.back(1).0 | server.isn.0 ^ segment.seq.0;
                    let counted = server.packets ^ 1 | isns;
                    age >> 32 | counted as u64 | server.acked_at ^ seen.now
                }
                _ => 1,
            };
        strange == 0
    }

    /// Lays it out as that.
    #[inline(always)]
    pub const fn lay_out_syn(&self, to: &mut ShortSyn) {
        let (flow, segment) = (self.flow, self.segment);
        to.kind = Kind::ShortSyn as u8;
        to.tcp_flags = segment.flags;
        to.ttl = segment.ttl;
        to.client_is_a = flow.client_is_a;
        to.window = segment.window;
        to.ifindex = self.seen.point.ifindex() as u16;
        to.time = self.seen.now;
        copy_key(&mut to.key, &segment.key);
        to.seq = segment.seq;
        to.ack = segment.ack;
        to.since_born = self.seen.now.wrapping_sub(flow.born) as u32;
    }

    /// Whether it is one that a [`ShortHeader`] tells; looked at as [`Self::is_short_syn`] is.
    #[inline(always)]
    pub const fn is_short_header(&self) -> bool {
        let saying = &self.saying;
        if !matches!(saying.kind, Kind::Header | Kind::End) || self.flow.usage < usage::ANSWERED {
            return false;
        }
        let (own, other) = self.sent();
        let since = self.seen.now.wrapping_sub(other.last_data);
        let is_late = other.last_data != 0 && since >= NEVER as u64;
        let beside = self.seen.point.beside() as u32;
        let strange = (beside | saying.run_len | saying.packet_len >> 16) as u64;
        let is_whole = saying.number.is_multiple_of(WHOLE_EVERY) || !short::is_told(saying.framing);
        strange | own.last_data ^ self.seen.now == 0 && !is_late && !is_whole
    }

    /// Lays it out as that.
    #[inline(always)]
    pub const fn lay_out_header(&self, to: &mut ShortHeader) {
        let Self {
            flow,
            segment,
            seen,
            saying,
        } = self;
        let (_, other) = self.sent();
        to.kind = Kind::ShortHeader as u8;
        to.what = saying.kind as u8;
        to.direction = saying.direction as u8;
        to.marks = saying.marks | (flow.joined_late * mark::JOINED_LATE);
        to.ttl = segment.ttl;
        to.framing = saying.framing;
        to.header[0] = saying.header[0];
        to.header[1] = saying.header[1];
        to.time = seen.now;
        copy_key(&mut to.key, &segment.key);
        to.born = flow.born as u32;
        to.since_other = if other.last_data == 0 {
            NEVER
        } else {
            seen.now.wrapping_sub(other.last_data) as u32
        };
        to.packet_len = saying.packet_len as u16;
        to.number = saying.number as u16;
    }

    /// What its side has sent, and the other one.
    #[inline(always)]
    const fn sent(&self) -> (&Counters, &Counters) {
        let (client, server) = (&self.flow.client().sent, &self.flow.server().sent);
        match self.saying.direction {
            Direction::ToServer => (client, server),
            Direction::ToClient => (server, client),
        }
    }
}

/// What a side has sent beyond what opens a connection; 0 where that is nothing.
#[inline(always)]
const fn beyond_opening(sent: &Counters) -> u64 {
    let Counters {
        bytes,
        last_data,
        retransmits,
        zero_windows,
        keep_alives,
        repeats,
        shut,
        ..
    } = sent;
    let again = *retransmits | *zero_windows | *keep_alives;
    *bytes | *last_data | again as u64 | *repeats as u64 | *shut as u64
}

// Field by field: the kernel has no `memmove` but a loop over bytes, which costs it and its
// verifier dear.
#[inline(always)]
const fn copy_key(to: &mut FlowKey, from: &FlowKey) {
    to.a[0] = from.a[0];
    to.a[1] = from.a[1];
    to.a[2] = from.a[2];
    to.a[3] = from.a[3];
    to.b[0] = from.b[0];
    to.b[1] = from.b[1];
    to.b[2] = from.b[2];
    to.b[3] = from.b[3];
    to.a_port = from.a_port;
    to.b_port = from.b_port;
}

#[inline(always)]
const fn copy_counters(to: &mut Counters, from: &Counters) {
    to.bytes = from.bytes;
    to.last_data = from.last_data;
    to.acked_at = from.acked_at;
    to.packets = from.packets;
    to.retransmits = from.retransmits;
    to.zero_windows = from.zero_windows;
    to.keep_alives = from.keep_alives;
    to.isn = from.isn;
    to.repeats = from.repeats;
    to.shut = from.shut;
}
