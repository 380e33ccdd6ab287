//! Whose sockets the connections are, and what the kernel's TCP knew of them in the end.
//!
//! A process is known where it asks for something: when it connects, and when it binds the socket
//! it will listen on. Both are remembered on the socket itself, which accepted sockets inherit; so
//! there is no table to overflow, and no process to look for when a packet comes.

use core::ptr;

use aya_ebpf::{
    EbpfContext as _, Global,
    bindings::{__sk_buff, BPF_RB_NO_WAKEUP, bpf_sock, bpf_sock_ops},
    cty::c_void,
    helpers::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid,
        bpf_get_current_uid_gid, bpf_get_netns_cookie, bpf_ktime_get_boot_ns,
        bpf_sk_storage_delete, bpf_sk_storage_get, bpf_skb_cgroup_id,
    },
    macros::{btf_map, cgroup_sock, cgroup_sock_addr, sock_ops},
    programs::{SockAddrContext, SockContext, SockOpsContext},
};
use tracer_ebpf::{
    event::{Bound, Kind, Opening, Owner, SocketEnd, role},
    flow::FlowKey,
    key::mapped,
    loss::LossReason,
    seq::Seq,
};

use super::{
    candidate, endpoint, maps, ring,
    storage::{INHERITED, SocketStorage},
    syns, tries, wake,
};

/// Go on: the hooks only look.
const ALLOW: i32 = 1;
const PROTOCOL_TCP: u32 = 6;
const PROTOCOL_UDP: u32 = 17;
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
const CREATE: u64 = 1;

/// Who holds a socket.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Holder {
    pub(super) time: u64,
    pub(super) cgroup: u64,
    pub(super) pid: u32,
    pub(super) uid: u32,
    pub(super) name: [u8; 16],
    /// 1: the socket is in the agent's network namespace.
    at_home: u64,
}

/// The cookie of the agent's network namespace; 0 where the kernel does not say it (before 5.14), and it is
/// taken to be the first one.
#[unsafe(no_mangle)]
static HOME: Global<u64> = Global::new(0);

/// 1: the packets of sockets are watched, so that their connections' state is kept on them.
#[unsafe(no_mangle)]
static SOCKETS: Global<u32> = Global::new(0);

#[btf_map]
static HOLDERS: SocketStorage<Holder, INHERITED> = SocketStorage::new();

impl Holder {
    /// The process at hand, which uses the context's socket.
    #[inline(always)]
    fn current(context: *mut c_void) -> Self {
        // SAFETY: these take no arguments.
        let (time, pid, uid, cgroup) = unsafe {
            (
                bpf_ktime_get_boot_ns(),
                bpf_get_current_pid_tgid() >> 32,
                bpf_get_current_uid_gid(),
                bpf_get_current_cgroup_id(),
            )
        };
        Self {
            time,
            cgroup,
            pid: pid as u32,
            uid: uid as u32,
            name: bpf_get_current_comm().unwrap_or_default(),
            at_home: u64::from(is_home(context)),
        }
    }
}

/// Whether the context's socket is in the agent's network namespace.
#[inline(always)]
fn is_home(context: *mut c_void) -> bool {
    // SAFETY: the context is a socket's; without one it is the first namespace's.
    unsafe {
        let home = match HOME.load() {
            0 => bpf_get_netns_cookie(ptr::null_mut()),
            home => home,
        };
        bpf_get_netns_cookie(context) == home
    }
}

/// Remembers the process at hand on a socket.
#[inline(always)]
fn hold(context: *mut c_void, socket: *mut c_void) {
    let mut holder = Holder::current(context);
    // SAFETY: the socket is the context's own.
    let stored =
        unsafe { bpf_sk_storage_get(HOLDERS.map(), socket, (&raw mut holder).cast(), CREATE) };
    if stored.is_null() {
        maps::lose(LossReason::OwnerTableFull);
        return;
    }
    // SAFETY: just given by the helper. A socket that connects again may have another holder.
    unsafe { *stored.cast::<Holder>() = holder };
}

#[cgroup_sock_addr(connect4)]
pub fn tds_connect4(ctx: SockAddrContext) -> i32 {
    connect(&ctx);
    // SAFETY: reads the context, as the kernel gives it for this family.
    let address = unsafe { mapped((&raw const (*ctx.sock_addr).user_ip4).read_volatile()) };
    tries_to_connect(&ctx, &address);
    ALLOW
}

#[cgroup_sock_addr(connect6)]
pub fn tds_connect6(ctx: SockAddrContext) -> i32 {
    connect(&ctx);
    // SAFETY: the same, word by word.
    let address = unsafe { words(&raw const (*ctx.sock_addr).user_ip6) };
    tries_to_connect(&ctx, &address);
    ALLOW
}

#[inline(always)]
fn connect(ctx: &SockAddrContext) {
    // SAFETY: reads the context.
    let (protocol, port, socket) = unsafe {
        let address = &*ctx.sock_addr;
        (
            address.protocol,
            address.user_port,
            address.__bindgen_anon_1.sk,
        )
    };
    let port = u16::from_be(port as u16);
    let may_be_watched =
        candidate::are_asked_for() || maps::is_watched(port) || maps::is_beside(port);
    let is_wanted = protocol == PROTOCOL_TCP && may_be_watched
        || protocol == PROTOCOL_UDP && maps::is_service(port);
    if is_wanted && !socket.is_null() {
        hold(ctx.as_ptr(), socket.cast());
    }
}

/// A process that may be watched goes there.
#[inline(always)]
fn tries_to_connect(ctx: &SockAddrContext, address: &[u32; 4]) {
    // SAFETY: reads the context.
    let (protocol, port) = unsafe { ((*ctx.sock_addr).protocol, (*ctx.sock_addr).user_port) };
    if protocol == PROTOCOL_TCP {
        tries::connects(address, u16::from_be(port as u16));
    }
}

/// A datagram is sent to an address that it names itself.
#[cgroup_sock_addr(sendmsg4)]
pub fn tds_sendmsg4(ctx: SockAddrContext) -> i32 {
    connect(&ctx);
    ALLOW
}

#[cgroup_sock_addr(sendmsg6)]
pub fn tds_sendmsg6(ctx: SockAddrContext) -> i32 {
    connect(&ctx);
    ALLOW
}

#[cgroup_sock(post_bind4)]
pub fn tds_bind4(ctx: SockContext) -> i32 {
    bind(&ctx);
    ALLOW
}

#[cgroup_sock(post_bind6)]
pub fn tds_bind6(ctx: SockContext) -> i32 {
    bind(&ctx);
    ALLOW
}

#[inline(always)]
fn bind(ctx: &SockContext) {
    // SAFETY: reads the context.
    let (protocol, port) = unsafe { ((*ctx.sock).protocol, (*ctx.sock).src_port) };
    let port = port as u16;
    if protocol != PROTOCOL_TCP || !(candidate::are_asked_for() || maps::is_watched(port)) {
        return;
    }
    hold(ctx.as_ptr(), ctx.as_ptr());
    if candidate::are_asked_for() && port != 0 && is_sql_server() {
        bound(port);
    }
}

/// Whether the process at hand has the name of SQL Server's.
#[inline(always)]
fn is_sql_server() -> bool {
    bpf_get_current_comm().is_ok_and(|name| name[..9] == *b"sqlservr\0")
}

/// Tells that it may listen on a port.
#[inline(always)]
fn bound(port: u16) {
    let bound = Bound {
        kind: Kind::Bound as u8,
        reserved: [0],
        port,
        pid: (bpf_get_current_pid_tgid() >> 32) as u32,
    };
    send(&bound, wake::socket());
}

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
    ALLOW as u32
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
            words(&raw const (*ops).local_ip6),
            words(&raw const (*ops).remote_ip6),
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

/// # Safety
/// `at` lies in the context.
#[inline(always)]
pub(super) unsafe fn words(at: *const [u32; 4]) -> [u32; 4] {
    let at = at.cast::<u32>();
    // SAFETY: by the caller; one word at a time, as the kernel gives them.
    unsafe {
        [
            at.read_volatile(),
            at.add(1).read_volatile(),
            at.add(2).read_volatile(),
            at.add(3).read_volatile(),
        ]
    }
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
    send(&owner, wake::socket());
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
    unsafe { holder_of(socket).as_ref() }.copied()
}

/// Who holds a socket; null where that is not known.
///
/// # Safety
/// The socket is a context's own.
#[inline(always)]
pub(super) unsafe fn holder_of(socket: *mut bpf_sock) -> *mut Holder {
    if socket.is_null() {
        return ptr::null_mut();
    }
    let holders = HOLDERS.map();
    // SAFETY: by the caller.
    unsafe { bpf_sk_storage_get(holders, socket.cast(), ptr::null_mut(), 0).cast() }
}

/// Whether a socket is in the agent's network namespace, as far as is known.
///
/// # Safety
/// The socket is a context's own.
#[inline(always)]
pub(super) unsafe fn is_at_home(socket: *mut bpf_sock) -> bool {
    // SAFETY: by the caller; null, or given by the helper for as long as the socket lives.
    unsafe { holder_of(socket).as_ref() }.is_some_and(|holder| holder.at_home != 0)
}

/// Tells the control group of an accepted socket whose listener is older than the programs: so that of
/// several that could have accepted it the right one is known. Nothing is told where a hook has seen who
/// holds it. Whether there was room; the caller counts it where there was none, since the stack is small.
///
/// # Safety
/// The socket is a context's own, and that of the packet.
#[inline(never)]
pub(super) unsafe fn tell_group(socket: *mut bpf_sock, skb: *mut __sk_buff, key: &FlowKey) -> bool {
    // SAFETY: by the caller.
    let (held, cgroup) = unsafe { (!holder_of(socket).is_null(), bpf_skb_cgroup_id(skb)) };
    if held {
        return true;
    }
    let owner = Owner {
        kind: Kind::Owner as u8,
        reserved: [0; 7],
        // SAFETY: takes no arguments.
        time: unsafe { bpf_ktime_get_boot_ns() },
        held: 0,
        cgroup,
        key: *key,
        role: role::SERVER,
        pid: 0,
        uid: 0,
        client_isn: Seq(0),
        server_isn: Seq(0),
        name: [0; 16],
    };
    ring::send(&owner, BPF_RB_NO_WAKEUP.into())
}

/// Forgets who holds a socket that is not watched.
///
/// # Safety
/// The socket is a context's own.
#[inline(always)]
pub(super) unsafe fn let_go(socket: *mut bpf_sock) {
    let holders = ptr::from_ref(&HOLDERS).cast_mut().cast();
    // SAFETY: by the caller. Where there is none, there is nothing to delete.
    unsafe { bpf_sk_storage_delete(holders, socket.cast()) };
}

/// Tells who holds the socket of a connection that is watched from now on; whether there was room.
///
/// # Safety
/// The socket is a context's own.
#[inline(never)]
pub(super) unsafe fn tell_owner(
    socket: *mut bpf_sock,
    opening: &Opening,
    key: &FlowKey,
    is_client: bool,
) -> bool {
    // SAFETY: by the caller; null, or given by the helper for as long as the socket lives.
    let Some(holder) = (unsafe { holder_of(socket).as_ref() }) else {
        return true;
    };
    // A client's is told as it is where it connects.
    let (role, client_isn, server_isn) = if is_client {
        (role::CLIENT, Seq(0), Seq(0))
    } else {
        (role::SERVER, opening.syn.seq, opening.answered.back(1))
    };
    let owner = Owner {
        kind: Kind::Owner as u8,
        reserved: [0; 7],
        time: opening.time,
        held: holder.time,
        cgroup: holder.cgroup,
        key: *key,
        role,
        pid: holder.pid,
        uid: holder.uid,
        client_isn,
        server_isn,
        name: holder.name,
    };
    ring::send(&owner, BPF_RB_NO_WAKEUP.into())
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
    let endpoint = maps::spare()?;
    // SAFETY: this processor's, and not used but here.
    let endpoint = unsafe { &mut *endpoint };
    endpoint.begin(name.key, name.client_is_a == 0, false);
    endpoint.both = u8::from(both);
    // The socket says so itself.
    endpoint.translated = u8::from(name.key != key);
    if !both && let Some(flow) = maps::flow(&name.key) {
        // SAFETY: an entry's memory is never unmapped.
        endpoint.flow = unsafe { *flow };
        endpoint.owns = 1;
    }
    // SAFETY: the socket is the context's own; the memory is a map's value.
    if unsafe { endpoint::keep(socket, endpoint) }.is_null() {
        maps::lose(LossReason::FlowTableFull);
    } else if endpoint.owns != 0 {
        maps::forget(&name.key);
    }
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
    send(&end, BPF_RB_NO_WAKEUP.into());
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

/// Sends a record, or counts that it could not.
#[inline(always)]
fn send<T>(record: &T, flags: u64) {
    if !ring::send(record, flags) {
        maps::lose(LossReason::RingFull);
    }
}
