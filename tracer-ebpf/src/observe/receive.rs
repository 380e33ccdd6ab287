//! Payload: what of it is new, what fills a hole, and what has passed before.

use super::step::{Step, found};
use crate::{
    event::mark,
    flow::Half,
    packet::{Segment, tcp_flag::SYN},
    seq::Seq,
};

/// Takes the stream up where it is first seen.
#[inline(always)]
pub(super) const fn begin(half: &mut Half, segment: &Segment) {
    half.synced = 1;
    half.sent.isn = segment.seq;
    half.next_seq = segment.seq;
}

/// Counts payload; whether any of it is new or fills a hole.
#[inline(always)]
pub(super) fn receive(half: &mut Half, segment: &Segment, now: u64, step: &mut Step) -> bool {
    if half.synced == 0 {
        begin(half, segment);
    }
    let carried = segment.carried();
    let expected = half.next_seq;
    let mut new = 0;
    let mut known = segment.payload_len;
    if !half.holes.are_none() {
        let filled = half.holes.fill(carried);
        if filled.bytes != 0 {
            step.marks |= mark::FILLS_GAP;
            if filled.blind {
                step.find(found::BLIND);
            }
            new = filled.bytes;
            known = filled.before;
        }
    }
    if carried.to.after(expected) {
        if carried.from.after(expected) {
            half.holes.leave(expected, carried.from);
            step.marks |= mark::GAP;
            known = 0;
            new = segment.payload_len;
        } else {
            let ahead = carried.to.since(expected).cast_unsigned();
            known = known.min(segment.payload_len.wrapping_sub(ahead));
            new = new.wrapping_add(ahead);
        }
        half.next_seq = carried.to;
    }
    if new == 0 {
        repeat(half, segment, step);
        return false;
    }
    step.known = known;
    half.sent.bytes = half.sent.bytes.wrapping_add(u64::from(new));
    half.sent.last_data = now;
    true
}

/// Payload that has passed before: a keep-alive probe, or a retransmission.
#[inline(always)]
fn repeat(half: &mut Half, segment: &Segment, step: &mut Step) {
    // A SYN that is repeated was counted as such; and what was refused is sent for the first time again.
    if segment.has(SYN) || is_refused(half, segment.end()) {
        return;
    }
    if segment.payload_len == 1 && segment.end() == half.next_seq {
        half.sent.keep_alives = half.sent.keep_alives.wrapping_add(1);
        return;
    }
    half.sent.retransmits = half.sent.retransmits.wrapping_add(1);
    half.sent.repeats = half.sent.repeats.saturating_add(1);
    step.marks |= mark::RETRANSMIT;
}

/// Whether a segment has payload that came with the SYN and was refused.
#[inline(never)]
const fn is_refused(half: &mut Half, end: Seq) -> bool {
    let left = half.sent.isn.add(1).add(half.refused).since(end);
    if half.refused == 0 || left < 0 {
        return false;
    }
    if left == 0 {
        half.refused = 0;
    }
    true
}
