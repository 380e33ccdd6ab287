//! Datagrams of this host's sockets that a login waits for: what SQL Browser is asked and answers, and name
//! resolution. They are told where they leave and reach the socket that asks; at the socket that is asked
//! only where the one that asks is elsewhere.

use core::ptr::from_ref;

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock},
    helpers::{
        bpf_ktime_get_boot_ns, bpf_ringbuf_discard, bpf_ringbuf_reserve, bpf_ringbuf_submit,
        bpf_sk_fullsock, bpf_skb_load_bytes,
    },
    macros::{cgroup_skb, map},
    maps::{LruHashMap, PerCpuArray},
    programs::SkBuffContext,
};
use tracer_ebpf::{
    datagram::{self, Datagram, MAX_ANSWER, MAX_QUESTION, Seen, Way, level, service},
    event::Kind,
    key::mapped,
    loss::LossReason,
};

use super::{
    holder,
    maps::{self, EVENTS, SOCKET_STAGES},
    ring,
    skb::Skb,
    stage,
    verdict::PASS,
    wake, words,
};

const AF_INET: u32 = 2;
const PROTOCOL_UDP: u32 = 17;
const PROTOCOL_ICMP: u32 = 1;
const PROTOCOL_ICMPV6: u32 = 58;

/// Sockets of this host that have asked, and when last. The oldest gives way.
#[map]
static ASKERS: LruHashMap<Asker, u64> = LruHashMap::with_max_entries(4096, 0);

/// Up to when the datagrams that were told on a processor have used its time up, nanoseconds.
#[map]
static DATAGRAMS_PAID: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// What telling a datagram uses up of that time: 3,800 a second are told.
const COST: u64 = 1 << 18;
/// How much of it may be saved: that of 512.
const SAVINGS: u64 = 512 << 18;

/// The programs' places.
const IN: u32 = stage::DATAGRAMS;
const OUT: u32 = IN + 1;
const ANNOUNCES: u32 = OUT + 1;

/// A socket that asks.
#[repr(C)]
struct Asker {
    address: [u32; 4],
    port: u16,
    service: u16,
}

/// A record on its way into the ring.
#[repr(C)]
struct Room<const RUN: usize> {
    head: Datagram,
    run: [u8; RUN],
}

/// Goes on with what looks at datagrams where a socket with these ports may have sent or be given one.
/// Returns where it may not. A socket that is not connected knows no other end.
#[inline(always)]
pub(super) fn go_on(ctx: &SkBuffContext, local: u16, remote: u16, ingress: bool) {
    if maps::datagrams() == level::OFF {
        return;
    }
    if remote == 0 || maps::is_service(remote) || maps::is_service(local) {
        let place = if ingress { IN } else { OUT };
        // SAFETY: returns only where the other program is not there.
        unsafe { SOCKET_STAGES.tail_call(ctx, place) };
    }
}

/// A datagram that a socket is about to be given.
#[cgroup_skb]
pub fn tds_datagram_in(ctx: SkBuffContext) -> i32 {
    look(&ctx, true);
    PASS
}

/// A datagram that a socket has sent.
#[cgroup_skb]
pub fn tds_datagram_out(ctx: SkBuffContext) -> i32 {
    look(&ctx, false);
    PASS
}

#[inline(always)]
fn look(ctx: &SkBuffContext, ingress: bool) -> Option<()> {
    let skb = ctx.skb.skb;
    // SAFETY: reads the context; the socket is its own.
    let (socket, ethertype) = unsafe {
        let socket = (*skb).__bindgen_anon_2.sk;
        if socket.is_null() {
            return None;
        }
        let socket = bpf_sk_fullsock(socket);
        if socket.is_null() {
            return None;
        }
        (socket, u16::from_be((*skb).protocol as u16))
    };
    // SAFETY: just checked.
    match unsafe { (*socket).protocol } {
        PROTOCOL_UDP => {}
        // The kernel says by a socket of its own that a datagram found nobody.
        PROTOCOL_ICMP | PROTOCOL_ICMPV6 if !ingress => {}
        _ => return None,
    }
    let packet = Skb::of(skb);
    let seen = datagram::walk(&packet, ethertype, maps::datagrams())?;
    let at_asker = match seen.way {
        Way::Question => !ingress,
        Way::Answer => ingress,
        Way::Unreachable => false,
    };
    // SAFETY: takes no arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    if !is_told(&seen, at_asker, now) {
        return None;
    }
    if !may_tell(&DATAGRAMS_PAID, now) {
        maps::lose(LossReason::DatagramHeld);
        return None;
    }
    let announces = matches!(seen.way, Way::Answer) && seen.service == service::BROWSER;
    let what = What {
        at_asker,
        now,
        ingress,
        most: datagram::most(&packet, &seen),
        opened: 0,
        accepted: 0,
    };
    // SAFETY: the socket is the context's own.
    let told = unsafe {
        if matches!(seen.way, Way::Answer) {
            tell::<{ MAX_ANSWER as usize }>(skb, socket, &what)
        } else {
            tell::<{ MAX_QUESTION as usize }>(skb, socket, &what)
        }
    };
    if !told {
        maps::lose(LossReason::RingFull);
    }
    if announces {
        // SAFETY: returns only where the other program is not there.
        unsafe { SOCKET_STAGES.tail_call(ctx, ANNOUNCES) };
    }
    Some(())
}

/// Whether it is told here: where it is asked, what was asked, and for those elsewhere what SQL Browser is
/// asked here.
#[inline(always)]
fn is_told(seen: &Seen, at_asker: bool, now: u64) -> bool {
    let asker = Asker {
        address: seen.asker.0,
        port: seen.asker.1,
        service: seen.service,
    };
    match seen.way {
        Way::Question if at_asker => {
            // Where it has no room, the answer is not told.
            let _ = ASKERS.insert(&asker, now, 0);
            true
        }
        Way::Unreachable => true,
        Way::Question | Way::Answer => {
            let has_asked = ASKERS.get_ptr(&asker).is_some();
            has_asked == at_asker && (at_asker || seen.service == service::BROWSER)
        }
    }
}

/// Whether one more may be told now: so many at a time and in a second on each processor, and none where
/// the agent is far behind.
#[inline(always)]
pub(super) fn may_tell(paid: &PerCpuArray<u64>, now: u64) -> bool {
    let Some(paid) = paid.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: an array's memory is never unmapped. Whoever interrupts may get one for nothing.
    let paid = unsafe { &mut *paid };
    let from = (*paid).max(now.saturating_sub(SAVINGS));
    if from > now || !ring::has_room() {
        return false;
    }
    *paid = from.wrapping_add(COST);
    true
}

/// What is to be told of a packet beside its bytes.
pub(super) struct What {
    /// It is told at the socket of who asks.
    pub(super) at_asker: bool,
    pub(super) now: u64,
    pub(super) ingress: bool,
    /// Bytes of it that may be told.
    pub(super) most: u32,
    /// See [`Datagram::opened`].
    pub(super) opened: u64,
    /// See [`Datagram::accepted`].
    pub(super) accepted: u64,
}

/// Tells a packet; whether there was room.
///
/// # Safety
/// The socket is the context's own.
#[inline(always)]
pub(super) unsafe fn tell<const RUN: usize>(
    skb: *mut __sk_buff,
    socket: *mut bpf_sock,
    what: &What,
) -> bool {
    // SAFETY: the map is a ring buffer. What it gives is whole, and handed back below on each way.
    unsafe {
        let ring = from_ref(&EVENTS).cast_mut().cast();
        let room = bpf_ringbuf_reserve(ring, size_of::<Room<RUN>>() as u64, 0).cast::<Room<RUN>>();
        if room.is_null() {
            return false;
        }
        let len = core::hint::black_box((*skb).len.min(RUN as u32).min(what.most));
        let len = (len.wrapping_sub(1) & (RUN as u32 - 1)) + 1;
        if bpf_skb_load_bytes(skb.cast(), 0, (&raw mut (*room).run).cast(), len) < 0 {
            bpf_ringbuf_discard(room.cast(), 0);
            maps::lose(LossReason::HeaderUnreadable);
            return true;
        }
        lay_out(&raw mut (*room).head, socket);
        let head = &mut (*room).head;
        head.kind = Kind::Datagram as u8;
        head.at_asker = u8::from(what.at_asker);
        head.ethertype = u16::from_be((*skb).protocol as u16);
        head.kept = len;
        head.time = what.now;
        head.opened = what.opened;
        head.accepted = what.accepted;
        bpf_ringbuf_submit(room.cast(), wake::packet(what.ingress));
    }
    true
}

/// Lays out whose socket it is.
///
/// # Safety
/// There is room, and the socket is the context's own.
#[inline(always)]
unsafe fn lay_out(head: *mut Datagram, socket: *mut bpf_sock) {
    // SAFETY: by the caller.
    unsafe {
        let head = &mut *head;
        if (*socket).family == AF_INET {
            head.local = some_address((*socket).src_ip4);
            head.remote = some_address((*socket).dst_ip4);
        } else {
            head.local = words::of_context(&raw const (*socket).src_ip6);
            head.remote = words::of_context(&raw const (*socket).dst_ip6);
        }
        head.local_port = (*socket).src_port as u16;
        head.remote_port = u16::from_be((*socket).dst_port);
        head.reserved = 0;
        if let Some(holder) = holder::holder_of(socket).as_ref() {
            head.held = holder.time;
            head.cgroup = holder.cgroup;
            head.pid = holder.pid;
            head.uid = holder.uid;
            head.name = holder.name;
        } else {
            head.held = 0;
            head.cgroup = 0;
            head.pid = 0;
            head.uid = 0;
            head.name = [0; 16];
        }
    }
}

/// An address; a socket that has none is left without.
#[inline(always)]
const fn some_address(address: u32) -> [u32; 4] {
    if address == 0 {
        [0; 4]
    } else {
        mapped(address)
    }
}
