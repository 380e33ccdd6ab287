//! Connections that pass an interface and have no socket here that is watched, where interfaces are watched
//! beside sockets.
//!
//! What a socket tells is not told twice. The client's initial sequence number is the same wherever a packet
//! passes, however its addresses are rewritten. A SYN that a socket has sent is known before it passes the
//! first interface, and opens nothing here. One that comes in has passed interfaces before a listener is
//! given it: so its connection is opened, and left alone when the next segment of it would be told.

use aya_ebpf::{Global, bindings::BPF_RB_NO_WAKEUP, macros::map, maps::LruHashMap};
use tracer_ebpf::{
    event::{Kind, Translated},
    flow::{Flow, FlowKey},
    loss::LossReason,
    packet::{Segment, tcp_flag},
};

use super::{clock::Clock, maps, ring, syns};

/// 1: interfaces are watched beside sockets.
#[unsafe(no_mangle)]
static BESIDE: Global<u32> = Global::new(0);

/// The connections. The size is that of [`maps`]' own, where interfaces are watched beside sockets.
#[map]
static PASSING: LruHashMap<FlowKey, Flow> = LruHashMap::with_max_entries(64, 0);

/// SYNs that listeners of this host were given, by their sequence number, under the addresses that their
/// connection is told by: until the answer passes an interface, and for the SYN that is sent again. The size
/// is 4,096 where interfaces are watched beside sockets: so few that a stranger's number is hardly among them.
#[map]
static HEARD: LruHashMap<u32, Segment> = LruHashMap::with_max_entries(64, 0);

/// Whether interfaces are watched beside sockets.
#[inline(always)]
pub(super) fn is_beside() -> bool {
    BESIDE.load() != 0
}

/// A connection.
#[inline(always)]
pub(super) fn flow(key: &FlowKey) -> Option<*mut Flow> {
    PASSING.get_ptr_mut(key)
}

/// Remembers a connection in place of the one that had its key.
#[inline(always)]
pub(super) fn remember(key: &FlowKey, flow: &Flow) -> Option<*mut Flow> {
    if PASSING.insert(key, flow, 0).is_err() {
        maps::lose(LossReason::FlowTableFull);
        return None;
    }
    PASSING.get_ptr_mut(key)
}

/// Forgets a connection.
#[inline(always)]
pub(super) fn forget(key: &FlowKey) {
    // Where it is gone already there is nothing to do.
    let _ = PASSING.remove(key);
}

/// A listener is given a SYN, under the addresses that its connection is told by.
#[inline(always)]
pub(super) fn is_heard(segment: &Segment) {
    if is_beside() && segment.flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::SYN {
        // Without room its connection is told by both.
        if HEARD.insert(segment.seq.0, segment, 0).is_err() {
            maps::lose(LossReason::FlowTableFull);
        }
    }
}

/// Whether a segment opens a connection here: a SYN does that no socket tells. Where a client's socket tells
/// it by other addresses, these are told to be its too.
#[inline(never)]
pub(super) fn opens(segment: &Segment, clock: &mut Clock) -> bool {
    if segment.flags & (tcp_flag::SYN | tcp_flag::ACK) != tcp_flag::SYN {
        return false;
    }
    let now = clock.read();
    if let Some(key) = syns::sent_by(segment, now) {
        if *key != segment.key {
            tell(key, segment, segment.from_a, now);
        }
        return false;
    }
    // SAFETY: an entry's memory is never unmapped.
    let heard = HEARD
        .get_ptr(segment.seq.0)
        .is_some_and(|heard| unsafe { (*heard).window } == segment.window);
    !heard
}

/// Whether a socket of this host tells what would be told of a connection: it is forgotten here then.
#[inline(never)]
pub(super) fn is_told(flow: &Flow, segment: &Segment, now: u64) -> bool {
    let Some(heard) = HEARD.get_ptr(flow.client().sent.isn.0) else {
        return false;
    };
    // SAFETY: an entry's memory is never unmapped.
    tell(
        unsafe { &(*heard).key },
        segment,
        flow.client_is_a != 0,
        now,
    );
    forget(&segment.key);
    true
}

/// Tells that the connection with this name passes under the segment's addresses.
#[inline(always)]
fn tell(key: &FlowKey, segment: &Segment, client_is_a: bool, now: u64) {
    let translated = Translated {
        kind: Kind::Translated as u8,
        reserved: [0; 7],
        time: now,
        key: *key,
        other: segment.key,
        client_is_a: u32::from(client_is_a),
        end: 0,
    };
    if !ring::send(&translated, BPF_RB_NO_WAKEUP.into()) {
        maps::lose(LossReason::RingFull);
    }
}
