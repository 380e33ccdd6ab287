//! SYNs that sockets of this host have sent, by what stays the same where addresses are rewritten: the
//! initial sequence number. A listener that gets one knows that the client is on this host too.

use core::cell::UnsafeCell;

use aya_ebpf::{macros::map, maps::LruHashMap};
use tracer_ebpf::{flow::FlowKey, loss::LossReason, packet::Segment, seq::Seq};

use super::maps;

/// How long a host may take to deliver a SYN to itself, nanoseconds.
const ON_ITS_WAY: u64 = 1_000_000_000;

/// How long a SYN may be on its way to an interface, or until it is sent again, nanoseconds: by default a
/// client gives up after so long (`tcp_syn_retries`).
const REPEATED: u64 = 128_000_000_000;

/// A SYN that a socket has sent.
#[derive(Clone, Copy)]
#[repr(C)]
struct Sent {
    /// When, the last time, nanoseconds.
    time: u64,
    /// The client's socket's addresses.
    name: Name,
    /// Its receive window.
    window: u16,
    /// 1: a listener of this host has it.
    arrived: u8,
    reserved: [u8; 5],
}

/// The addresses that a connection is told by.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Name {
    pub(super) key: FlowKey,
    /// 1: the client is side `a`.
    pub(super) client_is_a: u32,
}

#[map]
static SYNS: LruHashMap<u32, Sent> = LruHashMap::with_max_entries(16 * 1024, 0);

/// Connections that the server's end knows under other addresses than the client's.
#[map]
static NAMES: LruHashMap<FlowKey, Name> = LruHashMap::with_max_entries(16 * 1024, 0);

/// 1: there has been such a connection. Where addresses are not rewritten nobody is looked for in vain.
#[unsafe(no_mangle)]
static RENAMED: Flag = Flag(UnsafeCell::new(0));

/// A word that is raised once.
#[repr(transparent)]
struct Flag(UnsafeCell<u32>);

// SAFETY: the whole word is read and written.
unsafe impl Sync for Flag {}

impl Flag {
    #[inline(always)]
    fn is_up(&self) -> bool {
        // SAFETY: memory of the programs.
        unsafe { self.0.get().read_volatile() != 0 }
    }

    #[inline(always)]
    fn raise(&self) {
        // SAFETY: as above.
        unsafe { self.0.get().write_volatile(1) };
    }
}

/// A client's SYN leaves its socket; whether there was room.
#[inline(always)]
pub(super) fn leaves(segment: &Segment, now: u64) -> bool {
    if let Some(sent) = SYNS.get_ptr_mut(segment.seq.0) {
        // SAFETY: an entry's memory is never unmapped.
        let sent = unsafe { &mut *sent };
        if sent.name.key == segment.key {
            sent.time = now;
            return true;
        }
    }
    let sent = Sent {
        time: now,
        name: Name {
            key: segment.key,
            client_is_a: u32::from(segment.from_a),
        },
        window: segment.window,
        arrived: 0,
        reserved: [0; 5],
    };
    SYNS.insert(segment.seq.0, sent, 0).is_ok()
}

/// A SYN arrives at a listener.
#[inline(always)]
pub(super) fn arrives(segment: &Segment, now: u64) {
    let Some(sent) = SYNS.get_ptr_mut(segment.seq.0) else {
        return;
    };
    // SAFETY: an entry's memory is never unmapped.
    let sent = unsafe { &mut *sent };
    if sent.window != segment.window || now.wrapping_sub(sent.time) > ON_ITS_WAY {
        return;
    }
    sent.arrived = 1;
    if sent.name.key != segment.key {
        RENAMED.raise();
        // Without room the two ends are told apart.
        if NAMES.insert(segment.key, sent.name, 0).is_err() {
            maps::lose(LossReason::FlowTableFull);
        }
    }
}

/// The addresses that the connection is told by whose SYN this is, where a socket of this host has sent it.
#[inline(always)]
pub(super) fn sent_by(segment: &Segment, now: u64) -> Option<&'static FlowKey> {
    let sent = SYNS.get_ptr(segment.seq.0)?;
    // SAFETY: an entry's memory is never unmapped.
    let sent = unsafe { &*sent };
    let is_it = sent.window == segment.window && now.wrapping_sub(sent.time) < REPEATED;
    is_it.then_some(&sent.name.key)
}

/// Whether the SYN with this number, which the socket of these addresses has sent, has arrived at a listener
/// of this host.
#[inline(always)]
pub(super) fn has_arrived(isn: Seq, key: &FlowKey) -> bool {
    // SAFETY: an entry's memory is never unmapped.
    SYNS.get_ptr(isn.0)
        .is_some_and(|sent| unsafe { (*sent).arrived != 0 && (*sent).name.key == *key })
}

/// The addresses that the connection is told by which a server's socket has under these.
#[inline(always)]
pub(super) fn told_by(key: &FlowKey) -> Option<Name> {
    if !RENAMED.is_up() {
        return None;
    }
    // SAFETY: an entry's memory is never unmapped.
    NAMES.get_ptr(key).map(|name| unsafe { *name })
}

/// Names a segment of a connection that is told by other addresses.
#[inline(always)]
pub(super) fn name(segment: &mut Segment, to_server: bool) {
    if let Some(name) = told_by(&segment.key) {
        segment.key = name.key;
        segment.from_a = (name.client_is_a != 0) == to_server;
    }
}
