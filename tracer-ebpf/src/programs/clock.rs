//! The kernel's clock, read no more often than needed: a reading costs more than the rest of a
//! packet that tells nothing.

use aya_ebpf::helpers::{bpf_jiffies64, bpf_ktime_get_boot_ns};

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
