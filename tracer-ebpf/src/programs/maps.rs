//! What the programs remember, and why each map is as large as it is.

use aya_ebpf::{
    Global,
    bindings::BPF_F_NO_PREALLOC,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray, RingBuf},
};
use tracer_ebpf::{
    config::Config,
    event::Event,
    flow::{Flow, FlowKey},
    loss::LossReason,
    observe::{Runs, Sighting, Step, login::MAX_RUN},
    packet::Segment,
};

use super::{clock::Clock, log};

/// Set before the load: constants to the verifier.
#[unsafe(no_mangle)]
static CONFIG: Global<Config> = Global::new(Config {
    login_bytes: Config::LOGIN_BYTES,
    requests: 1,
    withhold_unframed: 1,
});

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

/// The logins that the agent has decided: when the connection was born, at its key's slot. It is
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

/// What was not told, by reason: by classifiers, then by the sockets' hooks.
#[map]
static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(2 * LossReason::COUNT, 0);

/// Programs that go on where another ends.
#[map]
pub(super) static STAGES: ProgramArray = ProgramArray::with_max_entries(5, 0);

/// The program that a measurement goes on with. Empty but there.
#[map]
pub(super) static TRIAL: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// What the classifiers of one processor work on; the stack is too small. A classifier is never
/// interrupted by another on its processor.
#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// See [`SCRATCH`].
#[repr(C)]
pub(super) struct Scratch {
    /// The packet at hand, for the next stage.
    pub(super) segment: Segment,
    /// When and where it is seen.
    pub(super) seen: Sighting,
    /// What is to be told of it.
    pub(super) step: Step,
    /// The visible parts of a login's segment.
    pub(super) runs: Runs,
    /// A connection on its way into the table.
    pub(super) flow: Flow,
    /// A record on its way into the ring.
    pub(super) record: Record,
    /// The time, as last read.
    pub(super) clock: Clock,
}

/// A record and the bytes that follow it.
#[repr(C)]
pub(super) struct Record {
    pub(super) event: Event,
    /// Twice as long as a record's, so that a mask bounds where a part goes, and another how long it is.
    pub(super) run: [u8; 2 * MAX_RUN as usize],
    /// 1: the packet at hand is on its way in. Not part of the record.
    pub(super) ingress: u32,
    /// As far as `run` is filled. Not part of the record.
    pub(super) filled: u32,
}

/// The load's options.
#[inline(always)]
pub(super) fn config() -> Config {
    CONFIG.load()
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

/// The processor's scratch memory.
#[inline(always)]
pub(super) fn scratch() -> Option<*mut Scratch> {
    SCRATCH.get_ptr_mut(0)
}

/// Counts something that a classifier did not tell.
#[inline(always)]
pub(super) fn lose(reason: LossReason) {
    log::lost(reason);
    count(reason as u32);
}

/// Counts something that a socket's hook did not tell. Apart, since a packet may interrupt it.
#[inline(always)]
pub(super) fn lose_at_socket(reason: LossReason) {
    count(LossReason::COUNT + reason as u32);
}

#[inline(always)]
fn count(index: u32) {
    if let Some(count) = LOSSES.get_ptr_mut(index) {
        // SAFETY: the counter is this processor's own.
        unsafe { *count += 1 }
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

/// Whether the agent has decided the login of the connection born then.
#[inline(always)]
pub(super) fn is_decided(key: &FlowKey, born: u64) -> bool {
    DECIDED.get(key.slot()) == Some(&born)
}
