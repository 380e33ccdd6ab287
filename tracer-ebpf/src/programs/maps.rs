//! What the programs remember, and why each map is as large as it is.

use aya_ebpf::{
    Global,
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray, RingBuf},
};
use tracer_ebpf::{
    beside,
    config::{Config, requests},
    datagram::{self, level},
    flow::{Flow, FlowKey, decided},
    loss::LossReason,
};

use super::{
    log,
    stage::{self, Stage},
};

/// Set before the load: constants to the verifier.
#[unsafe(no_mangle)]
static CONFIG: Global<Config> = Global::new(Config {
    login_bytes: Config::LOGIN_BYTES,
    requests: requests::COUNTED,
    withhold_unframed: 1,
});

/// Which datagrams are told, by [`level`]: a constant to the verifier.
#[unsafe(no_mangle)]
static DATAGRAMS: Global<u32> = Global::new(level::OFF);

/// The watched ports, one bit each: one entry, so that one lookup serves both ports of a packet.
#[map]
static PORTS: Array<[u64; 1024]> = Array::with_max_entries(1, 0);

/// The interfaces that are watched on their way in and out. Connections open at no others: they would be
/// seen from one side only. The size is that of all indices an agent may meet at a time.
#[map]
static INTERFACES: HashMap<u32, u8> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// The connections. The size is the agent's to choose (`--max-flows`); the oldest gives way.
#[map]
static FLOWS: LruHashMap<FlowKey, Flow> = LruHashMap::with_max_entries(65_536, 0);

/// The logins that the agent has decided: when the connection was born, at its key's slot; the
/// complement of it where there are no sessions inside TLS ([`decided::WITHOUT_SESSIONS`]). It is
/// needed from there to the connection's next segment; where another has taken the slot by then, the
/// login goes on being told, up to its bounds.
#[map]
static DECIDED: Array<u64> = Array::with_max_entries(FlowKey::SLOTS, 0);

/// The records. The size is the agent's to choose.
#[map]
pub(super) static EVENTS: RingBuf = RingBuf::with_byte_size(8 * 1024 * 1024, 0);

/// 1: the agent sleeps, and is to be woken by the next record.
#[map]
static SLEEPS: Array<u32> = Array::with_max_entries(1, 0);

/// What was not told, by reason.
#[map]
static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(LossReason::COUNT, 0);

/// Programs that go on where another ends.
#[map]
pub(super) static STAGES: ProgramArray = ProgramArray::with_max_entries(Stage::COUNT, 0);

/// The same, for the packets of sockets, since a map's programs are all of one type: of connections in the
/// table, then of those on their socket, then those of candidates and of datagrams.
#[map]
pub(super) static SOCKET_STAGES: ProgramArray = ProgramArray::with_max_entries(stage::ALL, 0);

/// The load's options.
#[inline(always)]
pub(super) fn config() -> Config {
    CONFIG.load()
}

/// Which datagrams are told: see [`level`].
#[inline(always)]
pub(super) fn datagrams() -> u32 {
    DATAGRAMS.load()
}

/// Whether a port is that of a service whose datagrams are told.
#[inline(always)]
pub(super) fn is_service(port: u16) -> bool {
    datagram::is_service(port, datagrams())
}

/// Whether connections to a port are looked at for the sake of logins that may wait for them.
#[inline(always)]
pub(super) fn is_beside(port: u16) -> bool {
    datagrams() == level::FULL && beside::is_service(port)
}

/// Whether a port is watched.
#[inline(always)]
pub(super) fn is_watched(port: u16) -> bool {
    PORTS.get(0).is_some_and(|ports| bit(ports, port))
}

/// Whether one of two ports is watched.
#[inline(always)]
pub(super) fn is_either_watched(one: u16, other: u16) -> bool {
    PORTS
        .get(0)
        .is_some_and(|ports| bit(ports, one) || bit(ports, other))
}

/// Watches one more port from now on. Whoever does the same at the same time may undo it: the agent sees to
/// that.
#[inline(always)]
pub(super) fn watch(port: u16) {
    if let Some(ports) = PORTS.get_ptr_mut(0) {
        // SAFETY: an array's memory is never unmapped; the place is within it.
        unsafe {
            let word = ports.cast::<u64>().add((port >> 6) as usize);
            word.write_volatile(word.read_volatile() | 1 << (port & 63));
        }
    }
}

#[inline(always)]
const fn bit(ports: &[u64; 1024], port: u16) -> bool {
    ports[(port >> 6) as usize] >> (port & 63) & 1 != 0
}

/// Whether the agent sleeps and is woken now: once, by whoever asks first. Two that ask at a time may
/// both wake it.
#[inline(always)]
pub(super) fn wakes() -> bool {
    let Some(sleeps) = SLEEPS.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: an array's memory is never unmapped; whole words are read and written.
    unsafe {
        if sleeps.read_volatile() == 0 {
            return false;
        }
        sleeps.write_volatile(0);
    }
    true
}

/// Whether an interface is watched on its way in and out.
#[inline(always)]
pub(super) fn is_whole(ifindex: u32) -> bool {
    INTERFACES.get_ptr(ifindex).is_some()
}

/// Counts something that was not told. A packet may interrupt it, and count too.
#[inline(always)]
pub(super) fn lose(reason: LossReason) {
    log::lost(reason);
    if let Some(count) = LOSSES.get_ptr_mut(reason as u32) {
        add(count, 1);
    }
}

/// Takes back that something was not told.
#[inline(always)]
pub(super) fn find_again(reason: LossReason) {
    if let Some(count) = LOSSES.get_ptr_mut(reason as u32) {
        add(count, -1);
    }
}

/// Adds in one instruction, which nothing interrupts (Linux 3.18).
#[inline(always)]
pub(super) fn add(to: *mut u64, what: i64) {
    // SAFETY: an array's memory is never unmapped, and aligned.
    unsafe {
        core::arch::asm!("lock *(u64 *)({to} + 0) += {what}", to = in(reg) to, what = in(reg) what);
    }
}

/// A connection.
#[inline(always)]
pub(super) fn flow(key: &FlowKey) -> Option<*mut Flow> {
    FLOWS.get_ptr_mut(key)
}

/// Remembers a connection in place of the one that had its key.
#[inline(always)]
pub(super) fn remember(key: &FlowKey, flow: &Flow) -> Option<*mut Flow> {
    if FLOWS.insert(key, flow, 0).is_err() {
        lose(LossReason::FlowTableFull);
        return None;
    }
    FLOWS.get_ptr_mut(key)
}

/// Forgets a connection.
#[inline(always)]
pub(super) fn forget(key: &FlowKey) {
    // Where it is gone already there is nothing to do.
    let _ = FLOWS.remove(key);
}

/// Whether the agent has decided the login of the connection born then: see [`decided`].
#[inline(always)]
pub(super) fn is_decided(key: &FlowKey, born: u64) -> u8 {
    match DECIDED.get(key.slot()) {
        Some(known) if *known == born => decided::YES,
        Some(known) if *known == !born => decided::WITHOUT_SESSIONS,
        _ => decided::NO,
    }
}
