//! Memory to work in; the stack is too small. Whoever works in one has taken it: a process that sends may be
//! interrupted by a packet that comes, or by another process, and on a kernel with `PREEMPT_RT` nearly anywhere.

use aya_ebpf::{bindings::__sk_buff, macros::map, maps::PerCpuArray};
use tracer_ebpf::{
    event::Event,
    flow::Flow,
    loss::LossReason,
    observe::{Runs, Sighting, Step, login::MAX_RUN},
    packet::Segment,
};

use super::{clock::Clock, endpoint::Endpoint, maps};

/// Packets of sockets that are worked on at a time on one processor: a process's, and those of whoever
/// interrupts it.
const SOCKETS: u32 = 4;
/// The classifiers' place: elsewhere they never interrupt each other, so there is one.
const CLASSIFIERS: u32 = 0;

/// How many work in each memory: one, or none.
#[map]
static USERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(1 + SOCKETS, 0);

/// What the hooks of one processor work on. Behind the classifiers' each is for one packet at a time.
#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1 + SOCKETS, 0);

/// See [`SCRATCH`].
#[repr(C)]
pub(super) struct Scratch {
    /// The packet at hand, for the next stage.
    pub(super) segment: Segment,
    /// When and where it is seen.
    pub(super) seen: Sighting,
    /// What is to be told of it.
    pub(super) step: Step,
    /// The visible parts of a login's segment.
    pub(super) runs: Runs,
    /// A connection on its way into the table.
    pub(super) flow: Flow,
    /// A record on its way into the ring.
    pub(super) record: Record,
    /// The time, as last read.
    pub(super) clock: Clock,
    /// When the connection at hand was born.
    pub(super) born: u64,
    /// What is to be kept on a socket.
    pub(super) endpoint: Endpoint,
}

/// A record and the bytes that follow it.
#[repr(C)]
pub(super) struct Record {
    pub(super) event: Event,
    /// Twice as long as a record's, so that a mask bounds where a part goes, and another how long it is.
    pub(super) run: [u8; 2 * MAX_RUN as usize],
    /// 1: the packet at hand is on its way in. Not part of the record.
    pub(super) ingress: u32,
    /// As far as `run` is filled. Not part of the record.
    pub(super) filled: u32,
}

/// A memory by its place.
#[inline(always)]
fn at(place: u32) -> Option<*mut Scratch> {
    SCRATCH.get_ptr_mut(place)
}

/// Takes the memory at a place; whether nobody else has.
#[inline(always)]
fn is_free(place: u32) -> bool {
    let Some(users) = USERS.get_ptr_mut(place) else {
        return false;
    };
    // Whoever finds itself alone has it: the count is raised before it is read.
    maps::add(users, 1);
    // SAFETY: an array's memory is never unmapped.
    if unsafe { users.read_volatile() } == 1 {
        return true;
    }
    maps::add(users, -1);
    false
}

/// Gives the memory at a place back.
#[inline(always)]
pub(super) fn leave(place: u32) {
    if let Some(users) = USERS.get_ptr_mut(place) {
        maps::add(users, -1);
    }
}

/// Takes a memory, with its place.
#[inline(always)]
pub(super) fn enter() -> Option<(u32, *mut Scratch)> {
    for place in 1..=SOCKETS {
        if is_free(place) {
            return Some((place, at(place)?));
        }
    }
    maps::lose(LossReason::Crowded);
    None
}

/// Takes a memory for a packet of a socket, which remembers which one it is.
#[inline(always)]
pub(super) fn take(skb: *mut __sk_buff) -> Option<*mut Scratch> {
    let (place, scratch) = enter()?;
    // SAFETY: the kernel keeps what others have there, and restores it.
    unsafe { (*skb).cb[0] = place };
    Some(scratch)
}

/// The memory that a packet of a socket has taken.
#[inline(always)]
pub(super) fn of(skb: *mut __sk_buff) -> Option<*mut Scratch> {
    // SAFETY: reads the context.
    at(unsafe { (*skb).cb[0] })
}

/// Gives the memory of such a packet back.
#[inline(always)]
pub(super) fn give_back(skb: *mut __sk_buff) {
    // SAFETY: reads the context.
    leave(unsafe { (*skb).cb[0] });
}

/// Takes that of the classifiers. What a packet has in its control buffer is other programs' there.
#[inline(always)]
pub(super) fn take_classifiers() -> Option<*mut Scratch> {
    if is_free(CLASSIFIERS) {
        return of_classifiers();
    }
    maps::lose(LossReason::Crowded);
    None
}

/// That of the classifiers, which the packet at hand has taken.
#[inline(always)]
pub(super) fn of_classifiers() -> Option<*mut Scratch> {
    at(CLASSIFIERS)
}

/// Gives that of the classifiers back.
#[inline(always)]
pub(super) fn give_back_classifiers() {
    leave(CLASSIFIERS);
}
