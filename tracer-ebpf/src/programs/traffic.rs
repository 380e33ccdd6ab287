//! The packets of this host's sockets, whatever their namespace and however their addresses are rewritten on
//! the way: between a socket and all that lies below it.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{__sk_buff, BPF_RB_NO_WAKEUP, bpf_sock},
    helpers::bpf_sk_fullsock,
    macros::cgroup_skb,
    programs::SkBuffContext,
};
use tracer_ebpf::{
    event::{Kind, Translated},
    flow::{Flow, FlowKey, Point},
    key::mapped,
    loss::LossReason,
    observe::{self, Opens},
    packet::{self, Link, Segment, Skip, tcp_flag},
};

use super::{
    candidate, datagrams,
    endpoint::{self, Endpoint},
    follow,
    hook::Hook,
    maps::{self, SOCKET_STAGES, Scratch},
    passing, ring,
    skb::{Linear, Skb},
    socket,
    stage::Stage,
    syns,
    table::{self, Which},
    tallies::{self, Kept},
    tell,
};

/// The packet goes on. Anything else would drop it, or tell its sender that the way is crowded.
pub(super) const PASS: i32 = 1;
const SOCK_STREAM: u32 = 1;
const PROTOCOL_TCP: u32 = 6;
const AF_INET: u32 = 2;
pub(super) const TCP_LISTEN: u32 = 10;

/// A packet that a socket is about to be given.
#[cgroup_skb]
pub fn tds_socket_in(ctx: SkBuffContext) -> i32 {
    look(&ctx, true);
    PASS
}

/// A packet that a socket has sent.
#[cgroup_skb]
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
        if candidate::are_asked_for() && remote == 0 && is_listener(socket) {
            candidate::hand_over(ctx, 0, ingress);
        } else {
            datagrams::go_on(ctx, local, remote, ingress);
        }
        return None;
    }
    let Some(socket) = stream(socket) else {
        datagrams::go_on(ctx, local, remote, ingress);
        return None;
    };
    // SAFETY: the socket is the context's own.
    let endpoint = unsafe { endpoint::of(socket) };
    if endpoint.is_null() {
        if candidate::is_marked(local, remote) && !candidate::was_asked(ctx.skb.skb) {
            candidate::hand_over(ctx, remote, ingress);
        }
        if local == 0 || !is_watched {
            return None;
        }
    }
    if ingress && is_plainly_copy(ctx.skb.skb, endpoint) {
        return None;
    }
    let scratch = take(ctx.skb.skb)?;
    let seen = Seen {
        ctx,
        socket,
        local,
        ingress,
    };
    seen.follow(endpoint, scratch);
    give_back(ctx.skb.skb);
    Some(())
}

/// Whether a packet's socket listens.
#[inline(always)]
fn is_listener(socket: *mut bpf_sock) -> bool {
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
fn stream(socket: *mut bpf_sock) -> Option<*mut bpf_sock> {
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
            name_opening(segment, self.local, self.ingress, || scratch.clock.read());
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
            let sent = unsafe { socket::tell_group(self.socket, self.ctx.skb.skb, &endpoint.key) };
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
        name(self.socket, self.local)
    }

    /// The packet's interface, where the agent knows it by that number.
    #[inline(always)]
    fn ifindex(&self) -> u32 {
        ifindex(self.socket, self.ctx.skb.skb)
    }
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
        if socket::is_at_home(socket.cast()) {
            (*skb).ifindex
        } else {
            0
        }
    }
}

/// Whether a packet with these flags, on its way in, was counted on its way out of the other socket. How a
/// connection ends is looked at twice: the last packets may be of no socket any more on one side.
#[inline(always)]
const fn is_copy(endpoint: &Endpoint, flags: u8) -> bool {
    let special = tcp_flag::SYN | tcp_flag::FIN | tcp_flag::RST;
    endpoint.both != 0 && endpoint.ends == 0 && flags & special == 0
}

/// The same of a packet that needs no walk to say so.
#[inline(always)]
fn is_plainly_copy(skb: *mut __sk_buff, endpoint: *mut Endpoint) -> bool {
    if endpoint.is_null() {
        return false;
    }
    // SAFETY: kept for as long as the socket lives; reads the context.
    let (endpoint, kind) = unsafe { (&*endpoint, u16::from_be((*skb).protocol as u16)) };
    packet::plain_flags(&Linear::of(skb), kind).is_some_and(|flags| is_copy(endpoint, flags))
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
        // SAFETY: an entry's memory is never unmapped.
        endpoint.flow = unsafe { *flow };
        endpoint.owns = 1;
        maps::forget(&segment.key);
    }
}

/// A socket's own port and the other end's.
#[inline(always)]
fn ports(socket: *mut bpf_sock) -> (u16, u16) {
    // SAFETY: the socket is the context's own.
    unsafe { ((*socket).src_port as u16, u16::from_be((*socket).dst_port)) }
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

/// Takes a scratch memory that nobody works in: a process that sends may be interrupted by a packet that
/// comes, or by another process. The packet remembers which one it is.
#[inline(always)]
pub(super) fn take(skb: *mut __sk_buff) -> Option<*mut Scratch> {
    for place in 1..=maps::SOCKET_SCRATCHES {
        let users = maps::users(place)?;
        // Whoever finds itself alone has it: the count is raised before it is read.
        maps::add(users, 1);
        // SAFETY: an array's memory is never unmapped.
        if unsafe { users.read_volatile() } == 1 {
            // SAFETY: the kernel keeps what others have there, and restores it.
            unsafe { (*skb).cb[0] = place };
            return maps::scratch(place);
        }
        maps::add(users, -1);
    }
    maps::lose(LossReason::Crowded);
    None
}

#[inline(always)]
pub(super) fn give_back(skb: *mut __sk_buff) {
    // SAFETY: reads the context.
    if let Some(users) = maps::users(unsafe { (*skb).cb[0] }) {
        maps::add(users, -1);
    }
}

/// The connection's state is in the table.
const IN_TABLE: u32 = 0;
/// The connection's state is on the socket.
const OWNED: u32 = 1;

/// The hook at work, on a connection whose state is [`IN_TABLE`] or [`OWNED`]. Each has parts of its own: the
/// verifier would walk one part twice.
struct Traffic<'a, const PLACE: u32>(&'a SkBuffContext);

impl<const PLACE: u32> Traffic<'_, PLACE> {
    /// The packet's socket.
    #[inline(always)]
    fn socket(&self) -> Option<*mut bpf_sock> {
        // SAFETY: reads the context, whose own the socket is.
        let socket = unsafe {
            let socket = (*self.skb()).__bindgen_anon_2.sk;
            if socket.is_null() {
                return None;
            }
            bpf_sk_fullsock(socket)
        };
        (!socket.is_null()).then_some(socket)
    }
}

impl<const PLACE: u32> Hook for Traffic<'_, PLACE> {
    const FLOODS_OUT: bool = false;

    #[inline(always)]
    fn skb(&self) -> *mut __sk_buff {
        self.0.as_ptr().cast()
    }

    #[inline(always)]
    fn scratch(&self) -> Option<*mut Scratch> {
        // SAFETY: reads the context.
        maps::scratch(unsafe { (*self.skb()).cb[0] })
    }

    #[inline(always)]
    fn flow(&self, scratch: &Scratch) -> Option<*mut Flow> {
        if PLACE == IN_TABLE {
            return maps::flow(&scratch.segment.key);
        }
        let socket = self.socket()?;
        // SAFETY: the socket is the context's own; what it keeps lives as long as it does.
        unsafe {
            let endpoint = endpoint::of(socket);
            (!endpoint.is_null()).then(|| &raw mut (*endpoint).flow)
        }
    }

    #[inline(always)]
    fn tally(&self, scratch: &Scratch, new: bool) -> *mut Kept {
        if PLACE == IN_TABLE {
            return tallies::of_key(&scratch.segment.key, new);
        }
        match self.socket() {
            // SAFETY: the socket is the context's own.
            Some(socket) => unsafe { tallies::of_socket(socket, new) },
            None => core::ptr::null_mut(),
        }
    }

    #[inline(always)]
    fn forget(&self, scratch: &Scratch) {
        if PLACE == IN_TABLE {
            table::forget(Which::Own, &scratch.segment.key);
        }
    }

    #[inline(always)]
    fn go(&self, stage: Stage) {
        let place = stage as u32 + PLACE * Stage::COUNT;
        // SAFETY: returns only where the other program is not there.
        unsafe { SOCKET_STAGES.tail_call(self.0, place) };
        maps::lose(LossReason::Gone);
    }
}

/// Declares a part for connections in the table, and for those on their socket.
macro_rules! parts {
    ($($(#[$doc:meta])* $part:ident: $in_table:ident, $owned:ident;)*) => {$(
        $(#[$doc])*
        #[cgroup_skb]
        pub fn $in_table(ctx: SkBuffContext) -> i32 {
            tell::$part(&Traffic::<IN_TABLE>(&ctx));
            give_back(ctx.skb.skb);
            PASS
        }

        $(#[$doc])*
        #[cgroup_skb]
        pub fn $owned(ctx: SkBuffContext) -> i32 {
            tell::$part(&Traffic::<OWNED>(&ctx));
            give_back(ctx.skb.skb);
            PASS
        }
    )*};
}

parts! {
    /// The handshake, and repetitions.
    opening: tds_socket_opening, tds_owned_opening;
    /// A login's segment.
    login: tds_socket_login, tds_owned_login;
    /// What a login's segment still has to tell.
    runs: tds_socket_runs, tds_owned_runs;
    /// A decided connection's message boundaries.
    command: tds_socket_command, tds_owned_command;
    /// The connection's end.
    ending: tds_socket_ending, tds_owned_ending;
}
