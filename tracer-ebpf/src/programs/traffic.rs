//! The packets of this host's sockets, whatever their namespace and however their addresses are rewritten on
//! the way: between a socket and all that lies below it.

use aya_ebpf::{
    bindings::{BPF_RB_NO_WAKEUP, bpf_sock},
    macros::cgroup_skb,
    programs::SkBuffContext,
};
use tracer_ebpf::{
    event::{Kind, Translated},
    flow::{Flow, FlowKey, Point},
    loss::LossReason,
    observe::{self, Opens},
    packet::{Segment, tcp_flag},
};

use super::{
    candidate, datagrams,
    endpoint::{self, Endpoint},
    facing::{self, TCP_LISTEN, ports, stream, walk},
    follow, holder, maps,
    parts::{IN_TABLE, OWNED, Traffic},
    quiet::{is_copy, is_quiet},
    ring,
    scratch::{self, Scratch},
    syns,
    table::{self, Which},
    verdict::PASS,
    words,
};

/// A packet that a socket is about to be given.
#[cgroup_skb]
#[inline(always)]
pub fn tds_socket_in(ctx: SkBuffContext) -> i32 {
    look(&ctx, true);
    PASS
}

/// A packet that a socket has sent.
#[cgroup_skb]
#[inline(always)]
pub fn tds_socket_out(ctx: SkBuffContext) -> i32 {
    look(&ctx, false);
    PASS
}

#[inline(always)]
fn look(ctx: &SkBuffContext, ingress: bool) -> Option<()> {
    // SAFETY: reads the context.
    let socket = unsafe { (*ctx.skb.skb).__bindgen_anon_2.sk };
    if socket.is_null() {
        return None;
    }
    let (local, remote) = ports(socket);
    // A socket that resets its connection has let go of its port.
    let is_watched = local == 0 || maps::is_either_watched(local, remote);
    if !is_watched && !candidate::is_marked(local, remote) {
        if candidate::are_asked_for() && remote == 0 && facing::is_listener(socket) {
            candidate::hand_over(ctx, 0, ingress);
        } else {
            datagrams::go_on(ctx, local, remote, ingress);
        }
        return None;
    }
    // SAFETY: the socket is the context's own.
    let endpoint = unsafe { endpoint::of(socket) };
    if is_quiet(ctx.skb.skb, endpoint, ingress) {
        return None;
    }
    let Some(socket) = stream(socket) else {
        datagrams::go_on(ctx, local, remote, ingress);
        return None;
    };
    if endpoint.is_null() {
        if candidate::is_marked(local, remote) && !candidate::was_asked(ctx.skb.skb) {
            candidate::hand_over(ctx, remote, ingress);
        }
        if local == 0 || !is_watched {
            return None;
        }
    }
    let scratch = scratch::take(ctx.skb.skb)?;
    let seen = Seen {
        ctx,
        socket,
        local,
        ingress,
    };
    seen.follow(endpoint, scratch);
    scratch::give_back(ctx.skb.skb);
    Some(())
}

/// A packet, and the socket it belongs to.
struct Seen<'a> {
    ctx: &'a SkBuffContext,
    socket: *mut bpf_sock,
    /// The socket's port.
    local: u16,
    ingress: bool,
}

impl Seen<'_> {
    #[inline(always)]
    fn follow(&self, endpoint: *mut Endpoint, scratch: *mut Scratch) -> Option<()> {
        let segment = walk(self.ctx.skb.skb)?;
        // SAFETY: the scratch memory is this packet's.
        unsafe { (*scratch).segment = segment };
        // From here on the verifier knows nothing of the ways that led here, and walks on once.
        let scratch = core::hint::black_box(scratch);
        // SAFETY: as above; what is borrowed here is written nowhere else.
        let (segment, scratch) = unsafe { (&mut (*scratch).segment, &mut *scratch) };
        // SAFETY: reads the socket.
        if unsafe { (*self.socket).state } == TCP_LISTEN {
            facing::name_opening(segment, self.local, self.ingress, || scratch.clock.read());
            let ifindex = self.ifindex();
            return self.go_on(None, ifindex, segment, scratch);
        }
        let endpoint = if endpoint.is_null() {
            self.begin(segment, scratch)?
        } else {
            endpoint
        };
        // SAFETY: kept for as long as the socket lives.
        let endpoint = unsafe { &mut *endpoint };
        if endpoint.foreign != 0 {
            return None;
        }
        if !self.ingress && endpoint.translated == 0 && segment.key != endpoint.key {
            endpoint.translated = 1;
            if !translated(endpoint, segment, scratch.clock.read()) {
                maps::lose(LossReason::RingFull);
            }
        }
        segment.key = endpoint.key;
        segment.from_a = (endpoint.is_a != 0) != self.ingress;
        if self.ingress && is_copy(endpoint, segment.flags) {
            return None;
        }
        if segment.has(tcp_flag::SYN) {
            self.shakes_hands(endpoint, segment, scratch);
        }
        if segment.has(tcp_flag::FIN | tcp_flag::RST) {
            endpoint.ends = 1;
        }
        if endpoint.ifindex == endpoint::UNASKED {
            endpoint.ifindex = self.ifindex();
            // SAFETY: both are the context's own.
            let sent = unsafe { holder::tell_group(self.socket, self.ctx.skb.skb, &endpoint.key) };
            if !sent {
                maps::lose(LossReason::RingFull);
            }
        }
        let ifindex = endpoint.ifindex;
        let flow = (endpoint.owns != 0).then_some(&mut endpoint.flow);
        self.go_on(flow, ifindex, segment, scratch)
    }

    /// Counts and tells the packet, which belongs to this connection, or one in the table.
    #[inline(always)]
    fn go_on(
        &self,
        flow: Option<&mut Flow>,
        ifindex: u32,
        segment: &Segment,
        scratch: &mut Scratch,
    ) -> Option<()> {
        let point = Point::new(ifindex, self.ingress);
        if let Some(flow) = flow {
            let hook = Traffic::<OWNED>(self.ctx);
            follow::follow(&hook, flow, None, point, self.ingress, scratch);
        } else {
            let (flow, opened) = table::find(segment, scratch, Which::Own, |_| true)?;
            let hook = Traffic::<IN_TABLE>(self.ctx);
            follow::follow(&hook, flow, opened, point, self.ingress, scratch);
        }
        Some(())
    }

    /// A connection whose socket has nothing of it yet: it opens, or is older than the programs.
    #[inline(always)]
    fn begin(&self, segment: &Segment, scratch: &mut Scratch) -> Option<*mut Endpoint> {
        let (key, is_a) = self.name();
        let named = Segment {
            key,
            from_a: is_a != self.ingress,
            ..*segment
        };
        let from_watched = maps::is_watched(named.source_port());
        let to_watched = maps::is_watched(named.destination_port());
        let (to_server, foreign) = match observe::opens(&named, from_watched, to_watched) {
            Opens::Nothing => return None,
            Opens::Watched { to_server } => (to_server, 0),
            Opens::Foreign => (false, 1),
        };
        let endpoint = &mut scratch.endpoint;
        endpoint.begin(key, is_a, to_server != self.ingress);
        endpoint.foreign = foreign;
        endpoint.ifindex = self.ifindex();
        // SAFETY: the socket is the context's own; the scratch memory is a map's value.
        let kept = unsafe { endpoint::keep(self.socket, endpoint) };
        if kept.is_null() {
            maps::lose(LossReason::FlowTableFull);
            return None;
        }
        Some(kept)
    }

    /// A SYN that leaves, or the answer to it.
    #[inline(always)]
    fn shakes_hands(&self, endpoint: &mut Endpoint, segment: &Segment, scratch: &mut Scratch) {
        if endpoint.is_client == 0 {
            return;
        }
        if !self.ingress && !segment.has(tcp_flag::ACK) {
            // A socket may connect again.
            endpoint.owns = 0;
            endpoint.ends = 0;
            if !syns::leaves(segment, scratch.clock.read()) {
                maps::lose(LossReason::FlowTableFull);
            }
        } else if self.ingress && segment.has(tcp_flag::ACK) && endpoint.owns == 0 {
            endpoint.both = u8::from(syns::has_arrived(segment.ack.back(1), &segment.key));
            if endpoint.both == 0 {
                settle(endpoint, segment);
            }
        }
    }

    /// The socket's own addresses, and whether it is side `a`.
    #[inline(always)]
    fn name(&self) -> (FlowKey, bool) {
        facing::name(self.socket, self.local)
    }

    /// The packet's interface, where the agent knows it by that number.
    #[inline(always)]
    fn ifindex(&self) -> u32 {
        facing::ifindex(self.socket, self.ctx.skb.skb)
    }
}

/// Tells that a packet leaves under other addresses than its socket has; whether there was room. The
/// caller counts it where there was none, since the stack is small.
#[inline(never)]
fn translated(endpoint: &Endpoint, segment: &Segment, now: u64) -> bool {
    let is_clients = endpoint.is_client != 0;
    ring::send(
        &Translated {
            kind: Kind::Translated as u8,
            reserved: [0; 7],
            time: now,
            key: endpoint.key,
            other: segment.key,
            client_is_a: u32::from(segment.from_a == is_clients),
            end: 0,
        },
        BPF_RB_NO_WAKEUP.into(),
    )
}

/// Moves a connection from the table to its socket.
#[inline(always)]
fn settle(endpoint: &mut Endpoint, segment: &Segment) {
    if let Some(flow) = maps::flow(&segment.key) {
        // SAFETY: both are maps' values; an entry's memory is never unmapped.
        unsafe { words::copy(&raw mut endpoint.flow, flow) };
        endpoint.owns = 1;
        maps::forget(&segment.key);
    }
}
