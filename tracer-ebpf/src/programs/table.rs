//! Connections in the table, by their addresses.

use tracer_ebpf::{
    flow::{Flow, FlowKey, Rival, claim},
    observe::{self, Opens},
    packet::{Segment, tcp_flag},
};

use super::{
    log,
    maps::{self, Scratch},
    tallies,
};

/// Forgets a connection of which nothing is to come.
#[inline(always)]
pub(super) fn forget(key: &FlowKey) {
    maps::forget(key);
    tallies::forget(key);
}

/// The connection of a segment, if it is to a watched port; a new one where the segment opens it, which
/// `may_open` may forbid, and when: the clock is read once for both.
#[inline(always)]
pub(super) fn find<'a>(
    segment: &Segment,
    scratch: &mut Scratch,
    may_open: impl FnOnce() -> bool,
) -> Option<(&'a mut Flow, Option<u64>)> {
    let mut rival = Rival::default();
    if let Some(flow) = maps::flow(&segment.key) {
        // SAFETY: an entry's memory is never unmapped; a direction is written by one processor.
        let flow = unsafe { &mut *flow };
        if !flow.is_reopened_by(segment) {
            return (flow.foreign == 0).then_some((flow, None));
        }
        rival = flow.rival;
    }
    let from_watched = maps::is_watched(segment.source_port());
    let to_watched = maps::is_watched(segment.destination_port());
    let to_server = match observe::opens(segment, from_watched, to_watched) {
        Opens::Nothing => return None,
        Opens::Watched { to_server } => Some(to_server),
        Opens::Foreign => None,
    };
    if !may_open() {
        return None;
    }
    let now = scratch.clock.read();
    scratch.flow = Flow::new(segment, to_server == Some(true), now);
    scratch.flow.foreign = u8::from(to_server.is_none());
    if segment.has(tcp_flag::ACK) && rival.claim != claim::NONE {
        scratch.flow.follow(&rival);
    }
    let flow = maps::remember(&segment.key, &scratch.flow)?;
    to_server?;
    log::remembered(segment);
    // SAFETY: as above.
    Some((unsafe { &mut *flow }, Some(now)))
}
