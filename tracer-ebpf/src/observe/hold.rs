//! SYNs of a flood: where there are more than can be told, they are held back until their client goes on,
//! which a flood's does not.

use super::{
    Sighting,
    step::{Step, found},
};
use crate::{
    event::Direction,
    flow::{Answer, Flow, Rival, claim},
    packet::{
        Segment,
        tcp_flag::{ACK, RST, SYN},
    },
};

/// Whether a segment is one that a flood is made of: a SYN without payload, or what answers one that is
/// held back.
#[inline(always)]
pub const fn is_of_flood(flow: &Flow, segment: &Segment) -> bool {
    let answers = segment.has(RST) || segment.flags & (SYN | ACK) == SYN | ACK;
    let is = segment.has(SYN) || answers;
    is && segment.payload_len == 0
        && flow.established == 0
        && (!answers || flow.rival.claim == claim::HELD)
}

/// Holds back what [`super::account()`] has found in such a segment; whether it is a SYN that may never be
/// told.
#[inline(always)]
pub fn hold(flow: &mut Flow, segment: &Segment, seen: Sighting, step: &mut Step) -> bool {
    step.hush();
    if !segment.has(SYN) {
        return false;
    }
    if segment.has(ACK) {
        if flow.answer.time == 0 {
            flow.answer = Answer {
                time: seen.now,
                window: segment.window,
                ttl: segment.ttl,
                unseen: 0,
                reserved: [0; 4],
            };
        }
        return false;
    }
    if flow.rival.claim != claim::NONE {
        return false;
    }
    // One that was told is repeated.
    if flow.client().sent.packets > 1 {
        return true;
    }
    flow.rival = Rival {
        time: seen.now,
        isn: segment.seq,
        window: segment.window,
        ttl: segment.ttl,
        claim: claim::HELD,
    };
    true
}

/// The client goes on: what was held back of it is told now; whether that is a SYN.
#[inline(always)]
pub(super) fn release(flow: &mut Flow, segment: &Segment, step: &mut Step) {
    if !matches!(step.direction, Direction::ToServer) || segment.flags & (SYN | RST) != 0 {
        return;
    }
    if flow.rival.claim == claim::HELD {
        flow.rival.claim = claim::PROVEN;
        step.find(found::LATE_SYN | found::RELEASED);
    }
    if flow.answer.time != 0 && flow.answer.unseen == 0 {
        step.find(found::LATE_ANSWER);
    }
}
