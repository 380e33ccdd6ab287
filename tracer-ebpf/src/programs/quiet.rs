//! Packets that need no walk: they were counted elsewhere, or are counted here and nothing of them is told.

use aya_ebpf::bindings::__sk_buff;
use tracer_ebpf::{
    flow::Point,
    observe,
    packet::{self, tcp_flag},
};

use super::{
    clock,
    endpoint::{self, Endpoint},
    maps,
    skb::Linear,
};

/// Whether a packet with these flags, on its way in, was counted on its way out of the other socket. How a
/// connection ends is looked at twice: the last packets may be of no socket any more on one side.
#[inline(always)]
pub(super) const fn is_copy(endpoint: &Endpoint, flags: u8) -> bool {
    let special = tcp_flag::SYN | tcp_flag::FIN | tcp_flag::RST;
    endpoint.both != 0 && endpoint.ends == 0 && flags & special == 0
}

/// Whether a packet needs no walk: it was counted elsewhere, or is counted here and nothing of it is told.
#[inline(always)]
pub(super) fn is_quiet(skb: *mut __sk_buff, endpoint: *mut Endpoint, ingress: bool) -> bool {
    // SAFETY: null, or kept for as long as the socket lives.
    let Some(endpoint) = (unsafe { endpoint.as_mut() }) else {
        return false;
    };
    if endpoint.foreign != 0 {
        return true;
    }
    // SAFETY: reads the context.
    let kind = u16::from_be(unsafe { (*skb).protocol } as u16);
    let Some(segment) = packet::plain(&Linear::of(skb), kind) else {
        return false;
    };
    if ingress && is_copy(endpoint, segment.flags) {
        return true;
    }
    let is_special = segment.flags & (tcp_flag::SYN | tcp_flag::FIN | tcp_flag::RST) != 0;
    if is_special || endpoint.ifindex == endpoint::UNASKED {
        return false;
    }
    let flow = if endpoint.owns != 0 {
        &raw mut endpoint.flow
    } else {
        match maps::flow(&endpoint.key) {
            Some(flow) => flow,
            None => return false,
        }
    };
    let from_a = (endpoint.is_a != 0) != ingress;
    let point = Point::new(endpoint.ifindex, ingress);
    // SAFETY: an entry's memory is never unmapped; a direction is written by one processor.
    observe::is_quiet(
        unsafe { &mut *flow },
        from_a,
        &segment,
        point,
        clock::glance,
    )
}
