//! Every packet: is it a copy, what does it count, and does anything need telling?

use super::{
    Sighting,
    hold::release,
    receive::{begin, receive},
    step::{Next, Step, found},
};
use crate::{
    config::{Config, requests},
    event::{Direction, Kind, mark},
    flow::{Flow, Half, claim, decided},
    packet::{
        Segment,
        tcp_flag::{ACK, FIN, RST, SYN},
    },
};

/// For how long a server sends a SYN-ACK once, nanoseconds (RFC 6298 section 2).
const SYN_ACK_SENT_ONCE: u64 = 1_000_000_000;

/// Whether the moment of a packet matters to the nanosecond: something may be told of it, or it ends
/// a message. Others only move counters on.
#[inline(always)]
pub fn is_timely(flow: &mut Flow, segment: &Segment) -> bool {
    if flow.decided == 0 || flow.established == 0 || segment.flags & (SYN | FIN | RST) != 0 {
        return true;
    }
    let direction = flow.direction(segment);
    if flow.half(direction.reversed()).fin != 0 || flow.reset != 0 {
        return true;
    }
    let half = flow.half(direction);
    segment.payload_len > 0
        && (half.framed == 0 || half.end_open != 0 || segment.end().at_or_after(half.next_header))
}

/// Counts a packet, and says in `step` what is to be told of it: in memory of the caller, since the
/// kernel's verifier would follow what is in registers anew for each way there.
#[inline(always)]
pub fn account(
    flow: &mut Flow,
    segment: &Segment,
    seen: Sighting,
    config: &Config,
    is_decided: impl FnOnce() -> u8,
    step: &mut Step,
) {
    let now = seen.now;
    let direction = flow.direction(segment);
    let reset = flow.reset != 0;
    *step = Step::of(direction);
    // From here on it is in memory, of whose contents neither compiler nor verifier knows anything.
    let step = core::hint::black_box(step);
    if flow.rival.claim == claim::PROVEN {
        step.find(found::LATE_SYN);
    }
    if segment.flags & (SYN | RST) != 0 && flow.is_strange(segment) {
        stray(flow, segment, seen, step);
        return;
    }
    let peer = flow.half(direction.reversed());
    let (peer_fin, peer_end) = (peer.fin != 0 && peer.fin_acked == 0, peer.next_seq);
    let peer_waits = peer.sent.keep_alives | u32::from(peer.sent.repeats) != 0;
    let half = flow.half(direction);
    if half.point != seen.point {
        if half.point.0 != 0 && !advances(half, segment, reset) {
            step.next = Next::Copy;
            return;
        }
        half.point = seen.point;
    }
    half.sent.packets = half.sent.packets.wrapping_add(1);
    release(flow, segment, step);
    if flow.rival.claim != claim::NONE && flow.refute(segment) {
        step.find(found::STRANGE);
    }
    let half = flow.half(direction);
    // The end of a connection answers nothing, and says nothing of a window.
    let ordinary = segment.flags & (SYN | FIN | RST) == 0;
    if ordinary {
        half.window = segment.window;
        half.sent.shut = u16::from(segment.window == 0);
        half.sent.zero_windows = half
            .sent
            .zero_windows
            .wrapping_add(u32::from(half.sent.shut));
    }
    if segment.has(ACK) && (segment.ack.after(half.acked) || half.sent.acked_at == 0) {
        half.acked = segment.ack;
        half.sent.acked_at = now;
        if peer_fin && segment.ack.at_or_after(peer_end) {
            step.find(found::LAST);
            flow.half(direction.reversed()).fin_acked = 1;
        }
    }
    if peer_waits && ordinary {
        answer(flow.half(direction.reversed()));
    }
    let half = flow.half(direction);
    if segment.has(SYN) {
        synchronise(half, segment);
        flow.answer.is_seen();
        step.shakes_hands(if segment.has(ACK) {
            Kind::SynAck
        } else {
            Kind::Syn
        });
        if segment.has(ACK) {
            refuse(flow.half(direction.reversed()), segment);
        }
    }
    if segment.has(RST) {
        step.find(found::RST);
        flow.reset = 1;
        return;
    }
    // What crossed a RST on its way counts too: nothing after it would tell so.
    if reset {
        step.find(found::LAST);
    }
    let half = flow.half(direction);
    let fresh = segment.payload_len > 0 && receive(half, segment, now, step);
    if segment.payload_len == 0
        && half.synced != 0
        && segment.flags & (SYN | FIN) == 0
        && segment.seq.add(1) == half.next_seq
    {
        half.sent.keep_alives = half.sent.keep_alives.wrapping_add(1);
    }
    if segment.has(FIN) {
        finish(half, segment, step);
    }
    if flow.established == 0
        && direction == Direction::ToServer
        && segment.flags & (SYN | ACK) == ACK
        && (flow.server().syn | flow.client().syn) != 0
    {
        flow.established = 1;
        step.shakes_hands(Kind::Ack);
        tells_of_answer(flow, segment, now, step);
    }
    if segment.payload_len > 0 {
        payload(flow, segment, config, step, fresh, is_decided);
    }
}

/// A FIN, or one that is repeated.
#[inline(always)]
fn finish(half: &mut Half, segment: &Segment, step: &mut Step) {
    if half.fin != 0 {
        let again = u32::from(segment.payload_len == 0);
        half.sent.retransmits = half.sent.retransmits.wrapping_add(again);
        return;
    }
    half.fin = 1;
    if half.synced == 0 {
        begin(half, segment);
    }
    // What was lost before it may still come.
    if segment.seq.after(half.next_seq) {
        half.holes.leave(half.next_seq, segment.seq);
        step.marks |= mark::GAP;
    }
    half.next_seq = half.next_seq.max(segment.end()).add(1);
    step.find(found::FIN);
}

/// A SYN or RST that has no place in the connection changes nothing of it. A SYN may yet be answered;
/// a RST counts where its direction does, and not at other points once more.
#[inline(always)]
fn stray(flow: &mut Flow, segment: &Segment, seen: Sighting, step: &mut Step) {
    step.next = Next::Copy;
    if segment.has(SYN) && !segment.has(ACK) {
        if flow.suspect(segment, seen.now) {
            step.find(found::STRANGE);
        }
        return;
    }
    let half = flow.half(step.direction);
    if half.point.0 == 0 || half.point == seen.point {
        step.find(found::STRANGE);
    }
}

/// The client's first word after its SYN acknowledges a SYN-ACK that was not seen: so the server's stream
/// is known from its start. A server that answers with SYN cookies sends one by no socket; of another one it
/// may be known when it was sent.
#[inline(never)]
fn tells_of_answer(flow: &mut Flow, segment: &Segment, now: u64, step: &mut Step) {
    let client = flow.client();
    let is_first = client.syn != 0 && segment.seq == client.sent.isn.add(1);
    let server = flow.half(Direction::ToClient);
    if !is_first || server.synced != 0 {
        return;
    }
    server.syn = 1;
    server.synced = 1;
    server.framed = 1;
    server.sent.isn = segment.ack.back(1);
    server.next_seq = segment.ack;
    server.next_header = segment.ack;
    // After that time it was sent again, and which one this acknowledges is not known.
    let sent = flow.answer.time;
    if flow.answer.unseen != 0 && now.wrapping_sub(sent) < SYN_ACK_SENT_ONCE {
        let server = flow.half(Direction::ToClient);
        server.sent.packets = server.sent.packets.wrapping_add(1);
        server.sent.acked_at = sent;
        server.acked = segment.seq;
        step.find(found::LATE_ANSWER);
    }
}

/// A SYN-ACK that acknowledges a SYN without the payload that came with it.
#[inline(never)]
fn refuse(asked: &mut Half, answer: &Segment) {
    if asked.syn != 0 && answer.ack == asked.sent.isn.add(1) {
        asked.refused = asked.next_seq.since(answer.ack).max(0).cast_unsigned();
    }
}

/// The peer has said something: what was sent again and again is answered. Two processors may race
/// here; a probe more or less is worth no lock.
#[inline(always)]
const fn answer(waiting: &mut Half) {
    waiting.sent.keep_alives = 0;
    waiting.sent.repeats = 0;
}

/// Whether a packet seen at another point than its direction's has something new: then the
/// direction has moved there. A copy never has, since the first point saw it first.
#[inline(always)]
fn advances(half: &Half, segment: &Segment, reset: bool) -> bool {
    if segment.has(SYN) {
        return half.syn == 0;
    }
    if segment.has(RST) {
        return !reset;
    }
    (segment.payload_len > 0 && (half.synced == 0 || brings(half, segment)))
        || (segment.has(FIN) && half.fin == 0)
        || (segment.has(ACK) && segment.ack.after(half.acked))
}

/// Whether a segment's payload has not passed before.
#[inline(always)]
fn brings(half: &Half, segment: &Segment) -> bool {
    segment.end().after(half.next_seq)
        || (!half.holes.are_none() && half.holes.overlap(segment.carried()))
}

#[inline(always)]
fn synchronise(half: &mut Half, segment: &Segment) {
    let again = half.syn != 0 && half.sent.isn == segment.seq;
    if again {
        half.sent.retransmits = half.sent.retransmits.wrapping_add(1);
        return;
    }
    let start = segment.seq.add(1);
    // Data has come before it: the stream has begun already.
    let begun = half.syn == 0 && half.synced != 0 && half.next_seq.at_or_after(start);
    half.syn = 1;
    half.sent.isn = segment.seq;
    if begun {
        return;
    }
    half.synced = 1;
    half.framed = 1;
    half.next_seq = start;
    half.next_header = half.next_seq;
}

#[inline(always)]
fn payload(
    flow: &mut Flow,
    segment: &Segment,
    config: &Config,
    step: &mut Step,
    fresh: bool,
    is_decided: impl FnOnce() -> u8,
) {
    if flow.decided == decided::NO {
        flow.decided = is_decided();
    }
    if flow.decided == 0 {
        if fresh {
            step.next = Next::Login;
        } else if step.marks & mark::RETRANSMIT != 0 {
            step.find(found::REPEAT);
        }
        return;
    }
    let half = flow.half(step.direction);
    // The one comparison a segment without a boundary costs.
    let boundary = half.framed == 0 || segment.end().after(half.next_header) || half.end_open != 0;
    if fresh && boundary && config.requests != requests::IGNORED {
        step.next = Next::Command;
    }
}
