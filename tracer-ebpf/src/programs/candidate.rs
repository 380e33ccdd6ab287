//! Connections on ports that nobody has named: each is a candidate until its first bytes are there. These
//! prove that it is SQL Server's, or it is forgotten.
//!
//! A candidate's socket keeps how the connection opened, and a mark at its ports says that its packets are
//! asked for. So a packet of any other connection costs one look at the marks.

use core::cell::UnsafeCell;

use aya_ebpf::{
    Global,
    bindings::{__sk_buff, bpf_sock},
    macros::{btf_map, map},
    maps::LruHashMap,
    programs::SkBuffContext,
};
use tracer_ebpf::{
    datagram::level,
    event::{Kind, Opening},
    flow::FlowKey,
    loss::LossReason,
    packet::{Segment, tcp_flag},
    seq::Seq,
};

use super::{
    endpoint,
    maps::{self, SOCKET_STAGES},
    stage::{ASK, BESIDE},
    storage::{OWN, SocketStorage},
    syns,
};

/// 1: ports are learned.
#[unsafe(no_mangle)]
static AUTO: Global<u32> = Global::new(0);

/// Ports, two of which are a connection's, by what they are together.
const PLACES: usize = 1 << 16;

/// How many sockets with such ports keep a candidate, or one that has proved itself. Not a map that is looked
/// up, since each packet asks.
#[unsafe(no_mangle)]
static MARKS: Marks = Marks(UnsafeCell::new([0; PLACES]));

/// Counts that programs move.
#[repr(transparent)]
struct Marks(UnsafeCell<[u32; PLACES]>);

// SAFETY: whole words are read, and moved in one instruction.
unsafe impl Sync for Marks {}

impl Marks {
    #[inline(always)]
    fn at(&self, place: u32) -> *mut u32 {
        let mut place = place as usize;
        // SAFETY: the mask keeps it within the counts. The verifier must see it, which the compiler, knowing
        // better, would leave out.
        unsafe {
            core::arch::asm!("{place} &= {mask}", place = inout(reg) place, mask = const PLACES - 1);
            self.0.get().cast::<u32>().add(place)
        }
    }
}

/// Connections that a listener is asked for, by the addresses they are told by: until they are accepted.
#[map]
static OPENINGS: LruHashMap<FlowKey, Opening> = LruHashMap::with_max_entries(16 * 1024, 0);

/// A socket's end of a connection that has proved nothing so far.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Candidate {
    /// How it opened.
    pub(super) opening: Opening,
    /// Its mark's place.
    place: u32,
    /// 1: this socket is side `a` of the key.
    pub(super) is_a: u8,
    /// 1: this socket has connected. 0: it was accepted.
    pub(super) is_client: u8,
    /// 1: it is told by other addresses than its socket has, whose other end says so.
    pub(super) is_renamed: u8,
    /// 0: its port is of no service that is looked at ([`tracer_ebpf::beside`]). 1: it is, and has not been asked.
    /// Else 2, and the segments of its answer that were told.
    pub(super) beside: u8,
}

#[btf_map]
static CANDIDATES: SocketStorage<Candidate, OWN> = SocketStorage::new();

/// Whether ports are learned.
#[inline(always)]
pub(super) fn are_asked_for() -> bool {
    AUTO.load() != 0
}

/// Whether sockets are candidates at all: for their own sake, or for that of logins that may wait for them.
#[inline(always)]
pub(super) fn are_marked() -> bool {
    are_asked_for() || maps::datagrams() == level::FULL
}

/// Whether a packet with these ports may be a candidate's.
#[inline(always)]
pub(super) fn is_marked(local: u16, remote: u16) -> bool {
    // SAFETY: memory of the programs.
    are_marked() && unsafe { MARKS.at(place(local, remote)).read_volatile() } != 0
}

/// Hands a packet over to the programs that ask it, those of services first where its other end may be one.
/// Returns where they are not there.
#[inline(always)]
pub(super) fn hand_over(ctx: &SkBuffContext, remote: u16, ingress: bool) {
    let place = if maps::is_beside(remote) { BESIDE } else { ASK };
    // SAFETY: returns only where the other program is not there.
    unsafe { SOCKET_STAGES.tail_call(ctx, place + u32::from(!ingress)) };
    maps::lose(LossReason::Gone);
}

/// Whether a packet has been there.
#[inline(always)]
pub(super) fn was_asked(skb: *mut __sk_buff) -> bool {
    // SAFETY: reads the context.
    unsafe { (*skb).cb[1] != 0 }
}

/// One connection to a port, from one address, has a place of its own.
#[inline(always)]
const fn place(local: u16, remote: u16) -> u32 {
    (local ^ remote) as u32
}

/// Moves the count at a place.
#[inline(always)]
fn mark(place: u32, what: i32) {
    let count = MARKS.at(place);
    // SAFETY: memory of the programs, and aligned; in one instruction, as in `maps::add`.
    unsafe {
        core::arch::asm!("lock *(u32 *)({to} + 0) += {what}", to = in(reg) count, what = in(reg) what);
    }
}

/// What is kept on a socket; null where nothing is.
///
/// # Safety
/// The socket is a context's own.
#[inline(always)]
pub(super) unsafe fn of(socket: *mut bpf_sock) -> *mut Candidate {
    // SAFETY: by the caller.
    unsafe { CANDIDATES.of(socket) }
}

/// A socket connects to a port that is not watched, and may be of a service.
///
/// # Safety
/// The socket is a context's own.
#[inline(always)]
pub(super) unsafe fn connects(socket: *mut bpf_sock, key: &FlowKey, is_a: bool, beside: bool) {
    // It may have had a connection before.
    // SAFETY: by the caller.
    unsafe { endpoint::forget(socket) };
    // SAFETY: by the caller.
    let kept = unsafe { keep(socket, key, is_a, true, place(key.a_port, key.b_port)) };
    // SAFETY: just given by the helper.
    if let Some(kept) = unsafe { kept.as_mut() } {
        kept.beside = u8::from(beside);
    } else {
        maps::lose(LossReason::FlowTableFull);
    }
}

/// A socket was accepted on a port that is not watched, or was not when its connection opened: whether it is
/// a candidate.
///
/// # Safety
/// The socket is a context's own.
#[inline(always)]
pub(super) unsafe fn is_accepted(
    socket: *mut bpf_sock,
    key: &FlowKey,
    is_a: bool,
    client_isn: Seq,
    is_watched: bool,
) -> bool {
    let told = syns::told_by(key);
    let is_renamed = told.is_some();
    let name = told.unwrap_or(syns::Name {
        key: *key,
        client_is_a: u32::from(!is_a),
    });
    let opening = opened(&name.key, client_isn);
    if opening.is_none() && is_watched {
        return false;
    }
    let is_a = name.client_is_a == 0;
    let at = place(key.a_port, key.b_port);
    // SAFETY: by the caller; just given by the helper.
    let kept = unsafe { keep(socket, &name.key, is_a, false, at).as_mut() };
    let Some(kept) = kept else {
        maps::lose(LossReason::FlowTableFull);
        return true;
    };
    kept.is_renamed = u8::from(is_renamed);
    if let Some(opening) = opening {
        kept.opening.syn = opening.syn;
        kept.opening.again = opening.again;
        kept.opening.syn_ack = opening.syn_ack;
        kept.opening.ack = opening.ack;
        kept.opening.answered = opening.answered;
    }
    true
}

/// How the connection opens that a listener sees this segment of.
#[expect(
    clippy::needless_borrows_for_generic_args,
    reason = "the key would be copied to the stack"
)]
#[inline(never)]
pub(super) fn opens(segment: &Segment, now: u64) {
    let opening = OPENINGS.get_ptr_mut(&segment.key);
    // SAFETY: an entry's memory is never unmapped.
    let opening = opening.map(|opening| unsafe { &mut *opening });
    let Some(opening) = opening else {
        if segment.flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::SYN {
            let mut opening = Opening::default();
            opening.note(segment, now);
            // Without room it is one that was joined late, if it is one.
            if OPENINGS.insert(&segment.key, opening, 0).is_err() {
                maps::lose(LossReason::FlowTableFull);
            }
        }
        return;
    };
    opening.note(segment, now);
}

/// How a connection opened that both ends on this host know: as its listener saw it.
#[inline(always)]
pub(super) fn opened(key: &FlowKey, client_isn: Seq) -> Option<&'static Opening> {
    // SAFETY: an entry's memory is never unmapped.
    let opening = OPENINGS.get_ptr(key).map(|opening| unsafe { &*opening });
    opening.filter(|opening| opening.syn.seq == client_isn)
}

/// Makes a socket a candidate; null where it has no room.
///
/// # Safety
/// The socket is a context's own.
#[inline(never)]
unsafe fn keep(
    socket: *mut bpf_sock,
    key: &FlowKey,
    is_a: bool,
    is_client: bool,
    at: u32,
) -> *mut Candidate {
    // SAFETY: by the caller.
    let before = unsafe { of(socket) };
    let kept = if before.is_null() {
        // SAFETY: by the caller. What is new is zero.
        unsafe { CANDIDATES.of_or_new(socket) }
    } else {
        // SAFETY: just given by the helper.
        mark(unsafe { (*before).place }, -1);
        before
    };
    if kept.is_null() {
        return kept;
    }
    // SAFETY: just given by the helper.
    unsafe {
        (*kept).opening.kind = Kind::Opening as u8;
        (*kept).opening.key = *key;
        (*kept).opening.client_is_a = u32::from(is_a == is_client);
        (*kept).is_a = u8::from(is_a);
        (*kept).is_client = u8::from(is_client);
        (*kept).place = at;
    }
    mark(at, 1);
    kept
}

/// A socket closes, or is no candidate: its packets are asked for no more.
///
/// # Safety
/// The socket is a context's own.
#[inline(always)]
pub(super) unsafe fn forget(socket: *mut bpf_sock) {
    // SAFETY: by the caller.
    unsafe {
        let candidate = of(socket);
        if candidate.is_null() {
            return;
        }
        mark((*candidate).place, -1);
        CANDIDATES.forget(socket);
    }
}
