//! From the kernel's clock to the wall's.

use std::time::{Duration, Instant};

/// How long an offset is good for: the wall clock may be set, and is slewed.
const LIFETIME: Duration = Duration::from_secs(1);
/// Readings of which the closest pair is taken.
const READINGS: usize = 5;

/// The wall clock's distance from `CLOCK_BOOTTIME`.
pub(super) struct Clock {
    offset: i128,
    taken: Instant,
}

impl Clock {
    /// Takes the distance now.
    pub(super) fn now() -> Self {
        Self {
            offset: measure(),
            taken: Instant::now(),
        }
    }

    /// Nanoseconds from the boot clock to the wall clock.
    pub(super) fn offset(&mut self) -> i128 {
        if self.taken.elapsed() > LIFETIME {
            *self = Self::now();
        }
        self.offset
    }
}

/// The boot clock is read on both sides of the wall clock; the closest pair has the least between.
fn measure() -> i128 {
    let mut best = (i128::MAX, 0);
    for _ in 0..READINGS {
        let before = read(libc::CLOCK_BOOTTIME);
        let wall = read(libc::CLOCK_REALTIME);
        let after = read(libc::CLOCK_BOOTTIME);
        best = best.min((after - before, wall - i128::midpoint(before, after)));
    }
    best.1
}

/// The boot clock, nanoseconds.
pub(super) fn boot_now() -> u64 {
    u64::try_from(read(libc::CLOCK_BOOTTIME)).unwrap_or(0)
}

fn read(clock: libc::clockid_t) -> i128 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for writing, and the clocks exist on every Linux.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}
