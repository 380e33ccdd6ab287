//! Who holds a socket. A process is known where it asks for something: when it connects, and when it binds the
//! socket it will listen on. Both are remembered on the socket itself, which accepted sockets inherit; so there is
//! no table to overflow, and no process to look for when a packet comes.

use core::ptr;

use aya_ebpf::{
    Global,
    bindings::{__sk_buff, BPF_RB_NO_WAKEUP, bpf_sock},
    cty::c_void,
    helpers::{
        bpf_get_current_cgroup_id, bpf_get_current_comm, bpf_get_current_pid_tgid,
        bpf_get_current_uid_gid, bpf_get_netns_cookie, bpf_ktime_get_boot_ns, bpf_sk_storage_get,
        bpf_skb_cgroup_id,
    },
    macros::btf_map,
};
use tracer_ebpf::{
    event::{Kind, Opening, Owner, role},
    flow::FlowKey,
    loss::LossReason,
    seq::Seq,
};

use super::{
    maps, ring,
    storage::{INHERITED, SocketStorage},
};

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
    pub(super) at_home: u64,
}

/// The cookie of the agent's network namespace; 0 where the kernel does not say it (before 5.14), and it is
/// taken to be the first one.
#[unsafe(no_mangle)]
static HOME: Global<u64> = Global::new(0);

/// Lays out what a socket does not have yet.
const CREATE: u64 = 1;

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
pub(super) fn hold(context: *mut c_void, socket: *mut c_void) {
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

/// Who holds a socket; null where that is not known.
///
/// # Safety
/// The socket is a context's own.
#[inline(always)]
pub(super) unsafe fn holder_of(socket: *mut bpf_sock) -> *mut Holder {
    if socket.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: by the caller.
    unsafe { HOLDERS.of(socket) }
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

/// Forgets who holds a socket that is not watched.
///
/// # Safety
/// The socket is a context's own.
#[inline(always)]
pub(super) unsafe fn let_go(socket: *mut bpf_sock) {
    // SAFETY: by the caller. Where there is none, there is nothing to delete.
    unsafe { HOLDERS.forget(socket) };
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
