//! What the kernel's TCP says of its sockets: a connection begins, is accepted, or ends, and what TCP knew of it
//! then.

use aya_ebpf::{
    Global,
    bindings::{BPF_RB_NO_WAKEUP, bpf_sock, bpf_sock_ops},
    helpers::bpf_ktime_get_boot_ns,
    macros::sock_ops,
    programs::SockOpsContext,
};
use tracer_ebpf::{
    event::{Kind, Owner, SocketEnd, role},
    flow::FlowKey,
    key::mapped,
    loss::LossReason,
    seq::Seq,
};

use super::{
    candidate, endpoint,
    holder::{self, Holder},
    maps, ring, scratch, syns, wake, words,
};

/// Go on: the hook only looks.
const ALLOW: u32 = 1;
const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;
const TCP_CLOSE: u32 = 7;
const TIMEOUT_INIT: u32 = 1;
const TCP_CONNECT: u32 = 3;
const ACTIVE_ESTABLISHED: u32 = 4;
const PASSIVE_ESTABLISHED: u32 = 5;
const STATE: u32 = 10;
/// Asks for [`STATE`] calls on a socket.
const STATE_CALLS: i32 = 4;

/// 1: the packets of sockets are watched, so that their connections' state is kept on them.
#[unsafe(no_mangle)]
static SOCKETS: Global<u32> = Global::new(0);

/// The kernel's TCP: a connection begins, is accepted, or changes its state.
#[sock_ops]
pub fn tds_sockets(ctx: SockOpsContext) -> u32 {
    match ctx.op() {
        TIMEOUT_INIT => answers(&ctx),
        TCP_CONNECT => {
            connects(&ctx);
            began(&ctx, role::CLIENT);
        }
        ACTIVE_ESTABLISHED => began(&ctx, role::CLIENT),
        PASSIVE_ESTABLISHED => {
            if !is_candidate(&ctx) {
                accepted(&ctx);
            }
            began(&ctx, role::SERVER);
        }
        STATE if ctx.arg(1) == TCP_CLOSE => ended(&ctx),
        _ => {}
    }
    ALLOW
}

/// A SYN is answered, by a request that is no whole socket yet. By IPv6 no hook sees the answer before Linux
/// 6.6; by IPv4 every one is seen.
#[inline(never)]
fn answers(ctx: &SockOpsContext) {
    // SAFETY: reads the context.
    let (family, is_whole) = unsafe { ((*ctx.ops).family, (*ctx.ops).is_fullsock) };
    if SOCKETS.load() == 0 || is_whole != 0 || family != AF_INET6 {
        return;
    }
    let Some((key, _)) = key(ctx) else {
        return;
    };
    let name = syns::told_by(&key).map_or(key, |name| name.key);
    if let Some(flow) = maps::flow(&name) {
        // SAFETY: an entry's memory is never unmapped; takes no arguments.
        unsafe { (*flow).answer.sent(bpf_ktime_get_boot_ns()) };
    }
}

/// The connection's key, and whether the local side is the client; `None` where neither port is
/// watched.
#[inline(always)]
fn key(ctx: &SockOpsContext) -> Option<(FlowKey, bool)> {
    let (local, remote) = (
        ctx.local_port() as u16,
        u32::from_be(ctx.remote_port()) as u16,
    );
    let to_server = maps::is_watched(remote);
    if !to_server && !maps::is_watched(local) {
        return None;
    }
    Some((addresses(ctx).0, to_server))
}

/// The connection's key, and whether the local side is side `a` of it.
#[inline(always)]
fn addresses(ctx: &SockOpsContext) -> (FlowKey, bool) {
    let mut key = FlowKey::default();
    let is_a = name(ctx.ops, &mut key);
    (key, is_a)
}

/// The same, apart: older kernels follow each place where it is done, and what compilers share between these
/// reads memory that has no value on some way there.
#[inline(never)]
fn name(ops: *mut bpf_sock_ops, to: &mut FlowKey) -> bool {
    // SAFETY: reads the context. Volatile, and all of it: a load whose place in the context
    // depends on the family is one that the verifier refuses.
    let (family, local, remote, here4, there4, here6, there6) = unsafe {
        (
            (&raw const (*ops).family).read_volatile(),
            (&raw const (*ops).local_port).read_volatile() as u16,
            u32::from_be((&raw const (*ops).remote_port).read_volatile()) as u16,
            (&raw const (*ops).local_ip4).read_volatile(),
            (&raw const (*ops).remote_ip4).read_volatile(),
            words::of_context(&raw const (*ops).local_ip6),
            words::of_context(&raw const (*ops).remote_ip6),
        )
    };
    let (here, there) = if family == AF_INET {
        (mapped(here4), mapped(there4))
    } else {
        (here6, there6)
    };
    let (key, is_a) = FlowKey::of(here, local, there, remote);
    *to = key;
    is_a
}

#[inline(always)]
fn began(ctx: &SockOpsContext, role: u32) {
    let Some((key, _)) = key(ctx) else {
        return;
    };
    // Where the calls cannot be had, the end goes untold.
    let _ = ctx.set_cb_flags(ctx.cb_flags().cast_signed() | STATE_CALLS);
    let holder = holder(ctx.ops);
    if holder.is_none() && role == role::CLIENT {
        return;
    }
    let holder = holder.unwrap_or(Holder {
        time: 0,
        cgroup: 0,
        pid: 0,
        uid: 0,
        name: [0; 16],
        at_home: 0,
    });
    // SAFETY: takes no arguments.
    let time = unsafe { bpf_ktime_get_boot_ns() };
    let (client_isn, server_isn) = isns(ctx, role);
    let owner = Owner {
        kind: Kind::Owner as u8,
        reserved: [0; 7],
        time,
        held: holder.time,
        cgroup: holder.cgroup,
        key,
        role,
        pid: holder.pid,
        uid: holder.uid,
        client_isn,
        server_isn,
        name: holder.name,
    };
    ring::send_or_lose(&owner, wake::socket());
}

/// Whether ports are learned from packets: where these are seen at sockets.
#[inline(always)]
fn asks() -> bool {
    candidate::are_asked_for() && SOCKETS.load() != 0
}

/// The context's socket; null where it has none.
#[inline(always)]
fn socket_of(ctx: &SockOpsContext) -> *mut bpf_sock {
    // SAFETY: reads the context.
    unsafe { (*ctx.ops).__bindgen_anon_2.sk }
}

/// A socket connects: where neither port is watched its first bytes will be asked what it speaks.
#[inline(always)]
fn connects(ctx: &SockOpsContext) {
    let beside = maps::is_beside(u32::from_be(ctx.remote_port()) as u16);
    if !(asks() || beside && SOCKETS.load() != 0) || key(ctx).is_some() {
        return;
    }
    let socket = socket_of(ctx);
    if socket.is_null() {
        return;
    }
    let (key, is_a) = addresses(ctx);
    // SAFETY: the socket is the context's own.
    unsafe { candidate::connects(socket, &key, is_a, beside) };
    let _ = ctx.set_cb_flags(ctx.cb_flags().cast_signed() | STATE_CALLS);
}

/// The same of a socket that is accepted; whether it is so.
#[inline(always)]
fn is_candidate(ctx: &SockOpsContext) -> bool {
    if !asks() {
        return false;
    }
    let socket = socket_of(ctx);
    if socket.is_null() {
        return false;
    }
    let (key, is_a) = addresses(ctx);
    let (client_isn, _) = isns(ctx, role::SERVER);
    let is_watched = maps::is_watched(ctx.local_port() as u16);
    // SAFETY: the socket is the context's own.
    let is = unsafe { candidate::is_accepted(socket, &key, is_a, client_isn, is_watched) };
    if is {
        let _ = ctx.set_cb_flags(ctx.cb_flags().cast_signed() | STATE_CALLS);
    }
    is
}

/// The initial sequence numbers of client and server: of a socket that was just established, the one
/// before what its peer has acknowledged, and the one before what comes next.
#[inline(always)]
fn isns(ctx: &SockOpsContext, role: u32) -> (Seq, Seq) {
    if ctx.op() == TCP_CONNECT {
        return (Seq(0), Seq(0));
    }
    // SAFETY: reads the context.
    let (una, next) = unsafe {
        (
            (&raw const (*ctx.ops).snd_una).read_volatile(),
            (&raw const (*ctx.ops).rcv_nxt).read_volatile(),
        )
    };
    let (own, other) = (Seq(una).back(1), Seq(next).back(1));
    if role == role::CLIENT {
        (own, other)
    } else {
        (other, own)
    }
}

/// Who holds the context's socket.
#[inline(always)]
fn holder(ops: *mut bpf_sock_ops) -> Option<Holder> {
    // SAFETY: reads the context.
    let socket = unsafe { (*ops).__bindgen_anon_2.sk };
    // SAFETY: the socket is the context's own.
    unsafe { holder::holder_of(socket).as_ref() }.copied()
}

/// A connection is accepted: its state goes from the table to its socket, unless the client's is on this
/// host too.
#[inline(always)]
fn accepted(ctx: &SockOpsContext) -> Option<()> {
    if SOCKETS.load() == 0 {
        return None;
    }
    // SAFETY: reads the context.
    let socket = unsafe { (*ctx.ops).__bindgen_anon_2.sk };
    let (key, _) = key(ctx)?;
    if socket.is_null() || !maps::is_watched(ctx.local_port() as u16) {
        return None;
    }
    let (client_isn, _) = isns(ctx, role::SERVER);
    let name = syns::told_by(&key).unwrap_or(syns::Name {
        key,
        client_is_a: u32::from(!is_server_a(ctx, &key)),
    });
    let both = syns::has_arrived(client_isn, &name.key);
    let (place, scratch) = scratch::enter()?;
    // SAFETY: the scratch memory is this call's.
    let endpoint = unsafe { &mut (*scratch).endpoint };
    endpoint.begin(name.key, name.client_is_a == 0, false);
    endpoint.both = u8::from(both);
    // The socket says so itself.
    endpoint.translated = u8::from(name.key != key);
    if !both && let Some(flow) = maps::flow(&name.key) {
        // SAFETY: both are maps' values; an entry's memory is never unmapped.
        unsafe { words::copy(&raw mut endpoint.flow, flow) };
        endpoint.owns = 1;
    }
    // SAFETY: the socket is the context's own; the memory is a map's value.
    if unsafe { endpoint::keep(socket, endpoint) }.is_null() {
        maps::lose(LossReason::FlowTableFull);
    } else if endpoint.owns != 0 {
        maps::forget(&name.key);
    }
    scratch::leave(place);
    Some(())
}

/// Whether the server, which is the local side, is side `a` of the key.
#[inline(always)]
fn is_server_a(ctx: &SockOpsContext, key: &FlowKey) -> bool {
    key.a_port == ctx.local_port() as u16 && (key.a_port != key.b_port)
}

#[inline(always)]
fn ended(ctx: &SockOpsContext) {
    let may_be_marked = candidate::are_marked() && SOCKETS.load() != 0;
    if may_be_marked && !socket_of(ctx).is_null() {
        // SAFETY: the socket is the context's own.
        unsafe { candidate::forget(socket_of(ctx)) };
    }
    let (key, to_server) = match told_by(ctx) {
        Some(told) => told,
        None => match key(ctx) {
            Some(watched) => watched,
            None => return,
        },
    };
    // SAFETY: reads the context.
    let (srtt, retransmits) = unsafe { ((*ctx.ops).srtt_us, (*ctx.ops).total_retrans) };
    let end = SocketEnd {
        kind: Kind::SocketEnd as u8,
        reserved: [0; 7],
        // SAFETY: takes no arguments.
        time: unsafe { bpf_ktime_get_boot_ns() },
        key,
        role: if to_server {
            role::CLIENT
        } else {
            role::SERVER
        } | last(),
        // The kernel keeps eighths.
        srtt_us: srtt >> 3,
        retransmits,
    };
    // The connection's packets wake the agent, or it looks by itself.
    ring::send_or_lose(&end, BPF_RB_NO_WAKEUP.into());
}

/// Whether packets are seen at sockets only, for [`SocketEnd::role`].
#[inline(always)]
fn last() -> u32 {
    if SOCKETS.load() == 0 { 0 } else { role::LAST }
}

/// The addresses that the context's connection is told by, and whether its socket is the client's, where that
/// keeps them.
#[inline(always)]
fn told_by(ctx: &SockOpsContext) -> Option<(FlowKey, bool)> {
    if SOCKETS.load() == 0 {
        return None;
    }
    // SAFETY: the socket is the context's own.
    unsafe {
        let socket = (*ctx.ops).__bindgen_anon_2.sk;
        if socket.is_null() {
            return None;
        }
        let endpoint = endpoint::of(socket).as_ref()?;
        (endpoint.foreign == 0).then_some((endpoint.key, endpoint.is_client != 0))
    }
}
