//! The kernel's clock, read no more often than needed: a reading costs more than the rest of a
//! packet that tells nothing.

use aya_ebpf::{
    helpers::{bpf_jiffies64, bpf_ktime_get_boot_ns},
    macros::map,
    maps::PerCpuArray,
};

/// A reading that all packets on a processor share of which nothing is told. Whoever interrupts one that
/// reads may leave it with a moment before that.
#[map]
static CLOCK: PerCpuArray<Clock> = PerCpuArray::with_max_entries(1, 0);

/// A processor's last reading.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Clock {
    /// Nanoseconds of `CLOCK_BOOTTIME`.
    time: u64,
    /// The tick it was read in.
    tick: u64,
}

impl Clock {
    /// The time to the nanosecond.
    #[inline(always)]
    pub(super) fn read(&mut self) -> u64 {
        // SAFETY: these take no arguments.
        (self.time, self.tick) = unsafe { (bpf_ktime_get_boot_ns(), bpf_jiffies64()) };
        self.time
    }

    /// The time to the tick, which is 1 to 10 ms: read once in each.
    #[inline(always)]
    pub(super) fn glance(&mut self) -> u64 {
        // SAFETY: takes no arguments; the verifier makes a load of it (Linux 5.6).
        if unsafe { bpf_jiffies64() } == self.tick {
            return self.time;
        }
        self.read()
    }
}

/// The time to the tick, for packets that work in no scratch memory.
#[inline(always)]
pub(super) fn glance() -> u64 {
    match CLOCK.get_ptr_mut(0) {
        // SAFETY: an array's memory is never unmapped.
        Some(clock) => unsafe { (*clock).glance() },
        // SAFETY: takes no arguments.
        None => unsafe { bpf_ktime_get_boot_ns() },
    }
}
