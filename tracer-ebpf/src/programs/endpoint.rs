//! What is kept on a socket of a watched connection: which connection that is, and its state.
//!
//! Until a connection is established its state is in the table, and it stays there where both of its ends
//! are on this host. All others live on their socket: there they have no key of addresses and give way to
//! nobody.

use aya_ebpf::{bindings::bpf_sock, macros::btf_map};
use tracer_ebpf::flow::{Flow, FlowKey};

use super::storage::{OWN, SocketStorage};

/// A socket's end of a connection.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Endpoint {
    /// The connection's state, if it is here.
    pub(super) flow: Flow,
    /// The addresses that the connection is told by: the client's socket's, where that is on this host.
    pub(super) key: FlowKey,
    /// The interface of its first packet, where the agent knows it by that number; else 0. [`UNASKED`]
    /// before that.
    pub(super) ifindex: u32,
    /// 1: this socket is side `a` of the key.
    pub(super) is_a: u8,
    /// 1: this socket has connected. 0: it was accepted.
    pub(super) is_client: u8,
    /// 1: the state is here, not in the table.
    pub(super) owns: u8,
    /// 1: the other end's socket is on this host too.
    pub(super) both: u8,
    /// 1: the end has begun.
    pub(super) ends: u8,
    /// 1: not a connection to a watched port, only from one.
    pub(super) foreign: u8,
    /// 1: it was told that its packets have other addresses.
    pub(super) translated: u8,
    /// Fills up.
    pub(super) reserved: u8,
}

impl Endpoint {
    /// Lays out an end of a connection whose state is in the table; that of the socket itself is left as it
    /// is, since nobody looks at it.
    #[inline(always)]
    pub(super) const fn begin(&mut self, key: FlowKey, is_a: bool, is_client: bool) {
        self.key = key;
        self.is_a = is_a as u8;
        self.is_client = is_client as u8;
        self.ifindex = UNASKED;
        self.owns = 0;
        self.both = 0;
        self.ends = 0;
        self.foreign = 0;
        self.translated = 0;
        self.reserved = 0;
    }
}

/// See [`Endpoint::ifindex`].
pub(super) const UNASKED: u32 = u32::MAX;

#[btf_map]
static ENDPOINTS: SocketStorage<Endpoint, OWN> = SocketStorage::new();

/// What is kept on a socket; null where nothing is.
///
/// # Safety
/// The socket is the context's own.
#[inline(always)]
pub(super) unsafe fn of(socket: *mut bpf_sock) -> *mut Endpoint {
    // SAFETY: by the caller.
    unsafe { ENDPOINTS.of(socket) }
}

/// Keeps nothing on a socket any more.
///
/// # Safety
/// The socket is a context's own.
#[inline(always)]
pub(super) unsafe fn forget(socket: *mut bpf_sock) {
    // SAFETY: by the caller.
    unsafe { ENDPOINTS.forget(socket) };
}

/// Keeps this on a socket, in place of what it has; null where it has no room.
///
/// # Safety
/// The socket is the context's own, and `endpoint` a map's value.
#[inline(always)]
pub(super) unsafe fn keep(socket: *mut bpf_sock, endpoint: *mut Endpoint) -> *mut Endpoint {
    // SAFETY: by the caller.
    unsafe { ENDPOINTS.keep(socket, endpoint) }
}
