//! The record of an event, laid out where it lies.

use super::Sighting;
use crate::{
    event::{Counters, Direction, Event, Kind, mark},
    flow::{Flow, FlowKey},
    packet::Segment,
    seq::Seq,
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
