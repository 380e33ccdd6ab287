//! Calls of watched processes that fail before any packet. Nothing of this is attached, or done, unless somebody
//! asks for it.

#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "a map's key and value are passed by where they lie, as the kernel takes them"
)]

use aya_ebpf::{
    Global,
    bindings::BPF_F_NO_PREALLOC,
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_ktime_get_boot_ns},
    macros::{map, tracepoint},
    maps::{HashMap, LruHashMap},
    programs::TracePointContext,
};
use tracer_ebpf::{
    loss::LossReason,
    tries::{Tried, Try, call},
};

use super::maps;

/// Where a system call's result is in its trace event (`syscalls/sys_exit_connect/format`).
const RESULT: usize = 16;
/// The process has no descriptor left, or the host has not, or no memory (`errno(3)`).
const NO_SOCKET: [i64; 4] = [-24, -23, -12, -105];
/// The connection is under way: it is told by its packets.
const UNDER_WAY: [i64; 3] = [0, -115, -4];

/// 1: processes are watched.
#[unsafe(no_mangle)]
static WATCHES: Global<u32> = Global::new(0);

/// The watched processes by their ids. The sizes are those that the agent allows.
#[map]
static WATCHED: HashMap<u32, u32> = HashMap::with_max_entries(64, BPF_F_NO_PREALLOC);

/// The same by their names, for those that were not there before.
#[map]
static WATCHED_NAMES: HashMap<[u8; 16], u32> = HashMap::with_max_entries(16, BPF_F_NO_PREALLOC);

/// Where a thread is about to connect to, and since when: one call of each thread that is in it.
#[map]
static CONNECTS: LruHashMap<u64, Connect> = LruHashMap::with_max_entries(1024, 0);

/// The calls, until the agent takes them: it does each second.
#[map]
static TRIES: LruHashMap<Try, Tried> = LruHashMap::with_max_entries(1024, 0);

#[derive(Clone, Copy)]
#[repr(C)]
struct Connect {
    address: [u32; 4],
    time: u64,
    port: u64,
}

/// A TCP socket is to be connected: called in the thread that calls.
#[inline(never)]
pub(super) fn connects(address: &[u32; 4], port: u16) -> u32 {
    if WATCHES.load() == 0 || !is_watched() {
        return 0;
    }
    let connect = Connect {
        address: *address,
        // SAFETY: takes no arguments.
        time: unsafe { bpf_ktime_get_boot_ns() },
        port: port.into(),
    };
    let thread = bpf_get_current_pid_tgid();
    if CONNECTS.insert(&thread, &connect, 0).is_err() {
        maps::lose(LossReason::OwnerTableFull);
    }
    0
}

#[tracepoint]
pub fn tds_connected(ctx: TracePointContext) -> u32 {
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: only this thread changes its own.
    let Some(connect) = (unsafe { CONNECTS.get(&thread) }).copied() else {
        return 0;
    };
    let _ = CONNECTS.remove(&thread);
    // SAFETY: the field is one of the event.
    let Ok(result) = (unsafe { ctx.read_at::<i64>(RESULT) }) else {
        return 0;
    };
    let errno = if UNDER_WAY.contains(&result) {
        0
    } else {
        result.unsigned_abs() as u32
    };
    let key = Try {
        address: connect.address,
        pid: (thread >> 32) as u32,
        errno,
        port: connect.port as u16,
        call: call::CONNECT,
    };
    count(&key, connect.time);
    0
}

#[tracepoint]
pub fn tds_socket_made(ctx: TracePointContext) -> u32 {
    // SAFETY: the field is one of the event.
    let Ok(result) = (unsafe { ctx.read_at::<i64>(RESULT) }) else {
        return 0;
    };
    if !NO_SOCKET.contains(&result) || !is_watched() {
        return 0;
    }
    let key = Try {
        address: [0; 4],
        pid: (bpf_get_current_pid_tgid() >> 32) as u32,
        errno: result.unsigned_abs() as u32,
        port: 0,
        call: call::SOCKET,
    };
    // SAFETY: takes no arguments.
    count(&key, unsafe { bpf_ktime_get_boot_ns() });
    0
}

/// Whether the process at hand is watched.
#[inline(always)]
fn is_watched() -> bool {
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: the values are never read.
    unsafe {
        WATCHED.get(&pid).is_some()
            || bpf_get_current_comm().is_ok_and(|name| WATCHED_NAMES.get(&name).is_some())
    }
}

#[inline(always)]
fn count(key: &Try, first: u64) {
    // SAFETY: takes no arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    // SAFETY: two that count at a time may lose one of them: it is the number that suffers.
    let before = unsafe { TRIES.get(key) };
    let tried = Tried {
        first: before.map_or(first, |before| before.first),
        last: now,
        count: before.map_or(1, |before| before.count + 1),
        name: bpf_get_current_comm().unwrap_or_default(),
    };
    if TRIES.insert(key, &tried, 0).is_err() {
        maps::lose(LossReason::OwnerTableFull);
    }
}
