//! What the packets of candidates are asked: how their connection opened, and whether its first bytes are a
//! client's of SQL Server.
//!
//! A program of its own behind a tail call: other packets do not come here, and its stack is its own.

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock},
    helpers::bpf_ktime_get_boot_ns,
    macros::cgroup_skb,
    programs::SkBuffContext,
};
use tracer_ebpf::{
    first::first,
    loss::LossReason,
    packet::{self, Link, Segment, tcp_flag},
};

use super::{
    candidate::{self, Candidate},
    endpoint,
    facing::{self, TCP_LISTEN},
    holder,
    maps::{self, SOCKET_STAGES},
    ring,
    scratch::{self, Scratch},
    skb::Skb,
    stage::LOOK,
    syns,
    verdict::PASS,
    wake, words,
};

/// A packet that may be a candidate's, on its way in.
#[cgroup_skb]
pub fn tds_ask_in(ctx: SkBuffContext) -> i32 {
    ask(&ctx, true);
    PASS
}

/// The same on its way out.
#[cgroup_skb]
pub fn tds_ask_out(ctx: SkBuffContext) -> i32 {
    ask(&ctx, false);
    PASS
}

/// What comes of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Nothing more.
    Done,
    /// It goes the way of all packets: its connection is proven, or it is no candidate's.
    GoesOn,
}

#[inline(always)]
fn ask(ctx: &SkBuffContext, ingress: bool) {
    if judge(ctx, ingress) != Some(Answer::GoesOn) {
        return;
    }
    // SAFETY: the kernel keeps what others have there, and restores it; returns only where the other program
    // is not there.
    unsafe {
        (*ctx.skb.skb).cb[1] = 1;
        SOCKET_STAGES.tail_call(ctx, LOOK + u32::from(!ingress));
    }
    maps::lose(LossReason::Gone);
}

#[inline(always)]
fn judge(ctx: &SkBuffContext, ingress: bool) -> Option<Answer> {
    let skb = ctx.skb.skb;
    let socket = facing::socket(skb)?;
    // SAFETY: reads the socket.
    let (state, local) = unsafe { ((*socket).state, (*socket).src_port as u16) };
    if state == TCP_LISTEN {
        if maps::is_watched(local) {
            return Some(Answer::GoesOn);
        }
        opens(skb, local, ingress);
        return Some(Answer::Done);
    }
    // SAFETY: the socket is the context's own.
    let candidate = unsafe { candidate::of(socket) };
    if candidate.is_null() {
        return Some(Answer::GoesOn);
    }
    let mut segment = Segment::NONE;
    if !read(skb, &mut segment) {
        return None;
    }
    // SAFETY: takes no arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    // SAFETY: kept for as long as the socket lives.
    let candidate = unsafe { &mut *candidate };
    segment.key = candidate.opening.key;
    segment.from_a = (candidate.is_a != 0) != ingress;
    let to_server = (candidate.is_client != 0) != ingress;
    if segment.payload_len == 0 {
        let is_syn_ack = segment.has(tcp_flag::SYN) && segment.has(tcp_flag::ACK);
        if to_server != is_syn_ack && segment.flags & (tcp_flag::RST | tcp_flag::FIN) == 0 {
            candidate.opening.note(&segment, now);
        }
        let is_syn = segment.has(tcp_flag::SYN) && !is_syn_ack;
        if is_syn && to_server && !ingress && !syns::leaves(&segment, now) {
            maps::lose(LossReason::FlowTableFull);
        }
        return Some(Answer::Done);
    }
    let is_proof = to_server
        && !segment.has(tcp_flag::SYN)
        && proves(skb, segment.payload_at, segment.payload_len);
    if !is_proof {
        // SAFETY: the socket is the context's own.
        unsafe {
            candidate::forget(socket);
            holder::let_go(socket);
        }
        return Some(Answer::Done);
    }
    candidate.opening.time = now;
    let is_client = candidate.is_client != 0;
    // Whose the client is is known before the SYN is told, as where that is told at once.
    if is_client {
        tell_owner(socket, local, candidate);
    }
    let scratch = scratch::take(skb)?;
    let proven = prove(skb, socket, candidate, scratch, &segment);
    scratch::give_back(skb);
    proven?;
    if !is_client {
        tell_owner(socket, local, candidate);
    }
    Some(Answer::GoesOn)
}

/// A segment of a connection that a listener is asked for.
#[inline(always)]
fn opens(skb: *mut __sk_buff, local: u16, ingress: bool) {
    let mut segment = Segment::NONE;
    if !read(skb, &mut segment) {
        return;
    }
    // SAFETY: takes no arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    facing::name_opening(&mut segment, local, ingress, || now);
    if segment.payload_len == 0 && !segment.has(tcp_flag::RST) {
        candidate::opens(&segment, now);
    }
}

/// Reads the packet's segment, apart: the stack of those that follow is small.
#[inline(never)]
pub(super) fn read(skb: *mut __sk_buff, to: &mut Segment) -> bool {
    // SAFETY: reads the context.
    let link = Link::Network(u16::from_be(unsafe { (*skb).protocol } as u16));
    // What cannot be walked is no loss: nobody has said that it matters.
    packet::walk(&Skb::of(skb), link)
        .map(|segment| *to = segment)
        .is_ok()
}

/// Whether a client of SQL Server begins with these bytes.
#[inline(never)]
pub(super) fn proves(skb: *mut __sk_buff, at: u32, len: u32) -> bool {
    first(&Skb::of(skb), at, len).is_some()
}

/// Tells who holds the socket, by its own addresses.
#[inline(never)]
fn tell_owner(socket: *mut bpf_sock, local: u16, candidate: &Candidate) {
    let (key, _) = facing::name(socket, local);
    // SAFETY: the socket is the context's own.
    if !unsafe { holder::tell_owner(socket, &candidate.opening, &key, candidate.is_client != 0) } {
        maps::lose(LossReason::RingFull);
    }
}

/// A candidate is proven: from here on it is watched as any other connection, and what was not told of it so
/// far is told.
#[inline(never)]
fn prove(
    skb: *mut __sk_buff,
    socket: *mut bpf_sock,
    candidate: &mut Candidate,
    scratch: *mut Scratch,
    segment: &Segment,
) -> Option<()> {
    // SAFETY: the scratch memory is this packet's.
    let scratch = unsafe { &mut *scratch };
    let opening = &mut candidate.opening;
    let is_client = candidate.is_client != 0;
    let both = opening.syn.is_known() && syns::has_arrived(opening.syn.seq, &opening.key);
    let endpoint = &mut scratch.endpoint;
    endpoint.begin(opening.key, candidate.is_a != 0, is_client);
    endpoint.both = u8::from(both);
    endpoint.translated = candidate.is_renamed;
    opening.ifindex = facing::ifindex(socket, skb);
    if is_client {
        endpoint.ifindex = opening.ifindex;
    }
    // Of two ends the client's tells; when the answer has left the other one's knows.
    let tells = is_client || !both;
    if both
        && is_client
        && let Some(there) = candidate::opened(&opening.key, opening.syn.seq)
        && there.syn_ack.is_known()
    {
        opening.syn_ack = there.syn_ack;
    }
    if tells {
        let flow = if both {
            &mut scratch.flow
        } else {
            endpoint.owns = 1;
            &mut endpoint.flow
        };
        // SAFETY: the scratch memory is this packet's.
        unsafe { words::clear(flow) };
        flow.open(segment, true, opening.time);
        opening.lay_out(flow);
        if both {
            maps::remember(&opening.key, flow)?;
        }
    }
    // SAFETY: the socket is the context's own; the scratch memory is a map's value.
    if unsafe { endpoint::keep(socket, endpoint) }.is_null() {
        maps::lose(LossReason::FlowTableFull);
        return None;
    }
    // The packet's own record wakes the agent.
    if tells && !ring::send(opening, wake::packet(false)) {
        maps::lose(LossReason::RingFull);
    }
    Some(())
}
