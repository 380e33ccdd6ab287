//! Connections in the table, by their addresses.

use tracer_ebpf::{
    flow::{Flow, FlowKey, Rival, claim},
    observe::{self, Opens},
    packet::{Segment, tcp_flag},
};

use super::{clock::Clock, log, maps, passing, scratch::Scratch, tallies, words};

/// Which table: that of connections at sockets, or at interfaces where nothing else is watched; or that of
/// what passes interfaces beside sockets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Own,
    Passing,
}

impl Which {
    /// A connection.
    #[inline(always)]
    pub(super) fn flow(self, key: &FlowKey) -> Option<*mut Flow> {
        match self {
            Self::Own => maps::flow(key),
            Self::Passing => passing::flow(key),
        }
    }

    #[inline(always)]
    fn remember(self, key: &FlowKey, flow: &Flow) -> Option<*mut Flow> {
        match self {
            Self::Own => maps::remember(key, flow),
            Self::Passing => passing::remember(key, flow),
        }
    }
}

/// Forgets a connection of which nothing is to come.
#[inline(always)]
pub(super) fn forget(which: Which, key: &FlowKey) {
    match which {
        Which::Own => maps::forget(key),
        Which::Passing => passing::forget(key),
    }
    tallies::forget(key);
}

/// The connection of a segment, if it is to a watched port; a new one where the segment opens it, which
/// `may_open` may forbid, and when: the clock is read once for both.
#[inline(always)]
pub(super) fn find<'a>(
    segment: &Segment,
    scratch: &mut Scratch,
    which: Which,
    may_open: impl FnOnce(&mut Clock) -> bool,
) -> Option<(&'a mut Flow, Option<u64>)> {
    let mut rival = Rival::default();
    if let Some(flow) = which.flow(&segment.key) {
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
    if !may_open(&mut scratch.clock) {
        return None;
    }
    let now = scratch.clock.read();
    // SAFETY: the scratch memory is this packet's.
    unsafe { words::clear(&raw mut scratch.flow) };
    scratch.flow.open(segment, to_server == Some(true), now);
    scratch.flow.foreign = u8::from(to_server.is_none());
    if segment.has(tcp_flag::ACK) && rival.claim != claim::NONE {
        scratch.flow.follow(&rival);
    }
    let flow = which.remember(&segment.key, &scratch.flow)?;
    to_server?;
    log::remembered(segment);
    // SAFETY: as above.
    Some((unsafe { &mut *flow }, Some(now)))
}
