//! A packet's socket: which one it is, whose addresses it has, and where the packet passes.

use aya_ebpf::{
    bindings::{__sk_buff, bpf_sock},
    helpers::bpf_sk_fullsock,
};
use tracer_ebpf::{
    flow::FlowKey,
    key::mapped,
    loss::LossReason,
    packet::{self, Link, Segment, Skip, tcp_flag},
};

use super::{
    holder, maps, passing,
    skb::{Linear, Skb},
    syns,
};

const SOCK_STREAM: u32 = 1;
const PROTOCOL_TCP: u32 = 6;
const AF_INET: u32 = 2;
pub(super) const TCP_LISTEN: u32 = 10;

/// Whether a packet's socket listens.
#[inline(always)]
pub(super) fn is_listener(socket: *mut bpf_sock) -> bool {
    // SAFETY: the socket is the context's own.
    unsafe { (*socket).state == TCP_LISTEN }
}

/// The socket of a packet of TCP.
#[inline(always)]
pub(super) fn socket(skb: *mut __sk_buff) -> Option<*mut bpf_sock> {
    // SAFETY: reads the context.
    let socket = unsafe { (*skb).__bindgen_anon_2.sk };
    if socket.is_null() {
        return None;
    }
    stream(socket)
}

/// The same, by a packet's socket.
#[inline(always)]
pub(super) fn stream(socket: *mut bpf_sock) -> Option<*mut bpf_sock> {
    // SAFETY: the socket is the context's own.
    let socket = unsafe { bpf_sk_fullsock(socket) };
    if socket.is_null() {
        return None;
    }
    // The kernel answers for closed ports by a raw socket of its own.
    // SAFETY: just checked.
    if unsafe { (*socket).type_ != SOCK_STREAM || (*socket).protocol != PROTOCOL_TCP } {
        return None;
    }
    Some(socket)
}

/// A socket's own port and the other end's.
#[inline(always)]
pub(super) fn ports(socket: *mut bpf_sock) -> (u16, u16) {
    // SAFETY: the socket is the context's own.
    unsafe { ((*socket).src_port as u16, u16::from_be((*socket).dst_port)) }
}

/// The addresses that a connection is told by which a listener is asked for. Its answer leaves under the
/// port that was asked for, where that was rewritten.
#[inline(always)]
pub(super) fn name_opening(
    segment: &mut Segment,
    local: u16,
    ingress: bool,
    now: impl FnOnce() -> u64,
) {
    if !ingress && segment.source_port() != local {
        let (here, there) = segment.addresses();
        let port = segment.destination_port();
        (segment.key, segment.from_a) = FlowKey::of(here, local, there, port);
    }
    if ingress && segment.flags & (tcp_flag::SYN | tcp_flag::ACK) == tcp_flag::SYN {
        syns::arrives(segment, now());
    }
    syns::name(segment, ingress);
    if ingress {
        passing::is_heard(segment);
    }
}

/// The addresses of a socket with this port, and whether it is side `a`.
#[inline(always)]
pub(super) fn name(socket: *mut bpf_sock, local: u16) -> (FlowKey, bool) {
    // SAFETY: reads the socket.
    unsafe {
        let socket = &*socket;
        let remote = u16::from_be(socket.dst_port);
        if socket.family == AF_INET {
            let (here, there) = (mapped(socket.src_ip4), mapped(socket.dst_ip4));
            FlowKey::of(here, local, there, remote)
        } else {
            FlowKey::of(socket.src_ip6, local, socket.dst_ip6, remote)
        }
    }
}

/// The packet's interface, where the agent knows it by that number.
#[inline(always)]
pub(super) fn ifindex(socket: *mut bpf_sock, skb: *mut __sk_buff) -> u32 {
    // SAFETY: the socket is the context's own; reads the context.
    unsafe {
        if holder::is_at_home(socket.cast()) {
            (*skb).ifindex
        } else {
            0
        }
    }
}

/// The packet's segment.
#[inline(always)]
pub(super) fn walk(skb: *mut __sk_buff) -> Option<Segment> {
    // SAFETY: reads the context.
    let link = Link::Network(u16::from_be(unsafe { (*skb).protocol } as u16));
    let linear = Linear::of(skb);
    let walked = match packet::walk_if(&linear, link, |_, _| true) {
        Err(Skip::Unreadable) if linear.is_partial() => {
            packet::walk_if(&Skb::of(skb), link, |_, _| true)
        }
        walked => walked,
    };
    match walked {
        Ok(segment) => return Some(segment),
        Err(Skip::NotTcp) => {}
        Err(Skip::Fragment) => maps::lose(LossReason::Fragment),
        Err(Skip::ChainTooLong) => maps::lose(LossReason::HeaderChainTooLong),
        Err(Skip::Unreadable) => maps::lose(LossReason::HeaderUnreadable),
    }
    None
}
