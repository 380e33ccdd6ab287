//! Connections of this host's sockets to services that a login may wait for: when they opened, and when somebody
//! asked and answered. What is said is not told, but for what name servers are asked by TCP, the name of a host of
//! tokens, and the errors of Kerberos.
//!
//! Each is a candidate, so that no other packet comes here. Programs of their own behind a tail call, whose stack is
//! their own.

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock},
    helpers::bpf_ktime_get_boot_ns,
    macros::{cgroup_skb, map},
    maps::PerCpuArray,
    programs::SkBuffContext,
};
use tracer_ebpf::{
    beside::{Care, KERBEROS_KIND, asks_for_tokens, is_kerberos_error, port},
    datagram::MAX_ANSWER,
    loss::LossReason,
    packet::{Segment, tcp_flag},
};

use super::{
    ask,
    candidate::{self, Candidate},
    datagrams::{self, What},
    facing, holder,
    maps::{self, SOCKET_STAGES},
    skb::Skb,
    stage::ASK,
    syns,
    verdict::PASS,
};

/// Where Azure gives a machine its tokens: 169.254.169.254.
const IMDS: u32 = u32::from_ne_bytes([169, 254, 169, 254]);
/// An answer that any program may get is late from here on, nanoseconds.
const LATE: u64 = 100_000_000;
/// Segments of an answer that are told: a handshake of TLS, and what comes after it.
const MAX_ANSWERS: u8 = 16;

/// Up to when the segments that were told on a processor have used its time up, nanoseconds.
#[map]
static BESIDE_PAID: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// A packet of such a connection, on its way in.
#[cgroup_skb]
pub fn tds_beside_in(ctx: SkBuffContext) -> i32 {
    if look(ctx.skb.skb, true) == Way::Others {
        go_on(&ctx, ASK);
    }
    PASS
}

/// The same on its way out.
#[cgroup_skb]
pub fn tds_beside_out(ctx: SkBuffContext) -> i32 {
    if look(ctx.skb.skb, false) == Way::Others {
        go_on(&ctx, ASK + 1);
    }
    PASS
}

/// What becomes of a packet, and of its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fate {
    /// Bytes of it that are told; 0 where it is not.
    most: u32,
    /// The connection is looked at no more.
    over: bool,
}

impl Fate {
    const NOTHING: Self = Self {
        most: 0,
        over: false,
    };
    const OVER: Self = Self {
        most: 0,
        over: true,
    };
}

/// Which way a packet goes from here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It is done with.
    Done,
    /// That of other candidates: it is none of a service, or its connection may be SQL Server's.
    Others,
}

#[inline(always)]
fn go_on(ctx: &SkBuffContext, place: u32) {
    // SAFETY: returns only where the other program is not there.
    unsafe { SOCKET_STAGES.tail_call(ctx, place) };
    maps::lose(LossReason::Gone);
}

#[inline(always)]
fn look(skb: *mut __sk_buff, ingress: bool) -> Way {
    let Some(socket) = facing::socket(skb) else {
        return Way::Done;
    };
    // SAFETY: the socket is the context's own; kept for as long as it lives.
    let candidate = match unsafe { candidate::of(socket).as_mut() } {
        Some(candidate) if candidate.beside != 0 => candidate,
        _ => return Way::Others,
    };
    let mut segment = Segment::NONE;
    if !ask::read(skb, &mut segment) {
        return Way::Done;
    }
    let may_prove = candidate.beside == 1 && candidate::are_asked_for();
    if segment.payload_len > 0
        && !ingress
        && may_prove
        && ask::proves(skb, segment.payload_at, segment.payload_len)
    {
        return Way::Others;
    }
    // SAFETY: takes no arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    notes(candidate, &mut segment, now, ingress);
    // SAFETY: reads the socket.
    let (at, is_imds) = unsafe {
        let socket = &*socket;
        (u16::from_be(socket.dst_port), socket.dst_ip4 == IMDS)
    };
    let care = Care::of(at, is_imds);
    let fate = if segment.payload_len == 0 {
        shakes_hands(candidate, &segment, care)
    } else if ingress {
        answers(skb, candidate, &segment, care, at, now)
    } else {
        asks(skb, candidate, &segment, care, at)
    };
    if fate.most > 0 {
        let opening = &candidate.opening;
        let is_accepted = opening.syn_ack.is_known();
        let what = What {
            at_asker: true,
            now,
            ingress,
            most: fate.most,
            opened: opening.syn.time,
            accepted: if is_accepted { opening.syn_ack.time } else { 0 },
        };
        tell(skb, socket, &what);
    }
    if fate.over {
        // SAFETY: the socket is the context's own.
        unsafe {
            candidate::forget(socket);
            holder::let_go(socket);
        }
    }
    Way::Done
}

/// Notes how the connection opens, as of any other candidate.
#[inline(always)]
fn notes(candidate: &mut Candidate, segment: &mut Segment, now: u64, ingress: bool) {
    let ends = segment.flags & (tcp_flag::RST | tcp_flag::FIN) != 0;
    let is_syn_ack = segment.has(tcp_flag::SYN) && segment.has(tcp_flag::ACK);
    if segment.payload_len > 0 || ends || is_syn_ack != ingress {
        return;
    }
    candidate.opening.note(segment, now);
    if segment.has(tcp_flag::SYN) && !is_syn_ack && candidate::are_asked_for() {
        segment.key = candidate.opening.key;
        segment.from_a = (candidate.is_a != 0) != ingress;
        if !syns::leaves(segment, now) {
            maps::lose(LossReason::FlowTableFull);
        }
    }
}

/// A segment without payload: a SYN, or the end.
#[inline(always)]
fn shakes_hands(candidate: &Candidate, segment: &Segment, care: Care) -> Fate {
    let opening = &candidate.opening;
    let most = segment.payload_at;
    if segment.has(tcp_flag::SYN) {
        let is_again = opening.syn.times > 1 && !opening.syn_ack.is_known();
        let is_told = is_again || care == Care::Whole && !segment.has(tcp_flag::ACK);
        return Fate {
            most: if is_told { most } else { 0 },
            over: false,
        };
    }
    // Of what any program may speak only a refusal is told.
    if segment.flags & (tcp_flag::RST | tcp_flag::FIN) == 0 {
        return Fate::NOTHING;
    }
    let is_told = match care {
        Care::Whole => true,
        Care::Tokens if candidate.beside > 1 => true,
        _ => !opening.syn_ack.is_known(),
    };
    Fate {
        most: if is_told { most } else { 0 },
        over: true,
    }
}

/// The client says something.
#[inline(always)]
fn asks(
    skb: *mut __sk_buff,
    candidate: &mut Candidate,
    segment: &Segment,
    care: Care,
    at: u16,
) -> Fate {
    let is_first = candidate.beside <= 1;
    candidate.beside = candidate.beside.max(2);
    let most = match care {
        Care::Names => u32::MAX,
        _ if !is_first => return Fate::NOTHING,
        Care::Trouble => 0,
        Care::Whole if at == port::KERBEROS => segment.payload_at + KERBEROS_KIND,
        Care::Whole => segment.payload_at,
        Care::Tokens => match name_end(skb, segment.payload_at, segment.payload_len) {
            0 => return Fate::OVER,
            end => end,
        },
    };
    Fate { most, over: false }
}

/// The service says something.
#[inline(always)]
fn answers(
    skb: *mut __sk_buff,
    candidate: &mut Candidate,
    segment: &Segment,
    care: Care,
    at: u16,
    now: u64,
) -> Fate {
    let told = candidate.beside.saturating_add(1);
    if told <= 2 {
        // It speaks first: none of these does.
        return Fate::OVER;
    }
    candidate.beside = told;
    let waited = now.wrapping_sub(candidate.opening.syn.time);
    let most = match care {
        Care::Names => u32::MAX,
        Care::Trouble if waited < LATE => return Fate::OVER,
        Care::Whole if at == port::KERBEROS => {
            let message = segment.payload_at + KERBEROS_KIND - 1;
            if says_no(skb, message) {
                u32::MAX
            } else {
                message + 1
            }
        }
        _ => segment.payload_at,
    };
    // Its length may come alone.
    let goes_on = match care {
        Care::Names | Care::Tokens => told < 2 + MAX_ANSWERS,
        Care::Whole | Care::Trouble => {
            at == port::KERBEROS && segment.payload_len < KERBEROS_KIND && told < 2 + MAX_ANSWERS
        }
    };
    Fate {
        most,
        over: !goes_on,
    }
}

/// Where the name of a host of tokens ends that a hello asks for; 0 where it does not. Apart: it walks far.
#[inline(never)]
fn name_end(skb: *mut __sk_buff, at: u32, len: u32) -> u32 {
    asks_for_tokens(&Skb::of(skb), at, len).unwrap_or(0)
}

#[inline(never)]
fn says_no(skb: *mut __sk_buff, at: u32) -> bool {
    is_kerberos_error(&Skb::of(skb), at)
}

/// Tells a packet, if there is room and time.
#[inline(never)]
fn tell(skb: *mut __sk_buff, socket: *mut bpf_sock, what: &What) {
    if !datagrams::may_tell(&BESIDE_PAID, what.now) {
        return maps::lose(LossReason::DatagramHeld);
    }
    // SAFETY: the socket is the context's own.
    if !unsafe { datagrams::tell::<{ MAX_ANSWER as usize }>(skb, socket, what) } {
        maps::lose(LossReason::RingFull);
    }
}
