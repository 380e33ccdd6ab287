//! Where processes ask for something: they connect, send to an address, or bind a socket. These hooks run in
//! the process itself.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid},
    macros::{cgroup_sock, cgroup_sock_addr},
    programs::{SockAddrContext, SockContext},
};
use tracer_ebpf::{
    event::{Bound, Kind},
    key::mapped,
};

use super::{candidate, holder::hold, maps, ring, tries, wake, words};

/// Go on: the hooks only look.
const ALLOW: i32 = 1;
const PROTOCOL_TCP: u32 = 6;
const PROTOCOL_UDP: u32 = 17;

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
    let address = unsafe { words::of_context(&raw const (*ctx.sock_addr).user_ip6) };
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
    ring::send_or_lose(&bound, wake::socket());
}
