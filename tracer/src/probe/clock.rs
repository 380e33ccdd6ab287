//! From the kernel's clock to the wall's.

use std::time::{Duration, Instant};

/// How long an offset is good for: the wall clock may be set, and is slewed.
const LIFETIME: Duration = Duration::from_secs(1);
/// Readings of which the closest pair is taken.
const READINGS: usize = 5;

/// The wall clock's distance from `CLOCK_BOOTTIME`.
pub(super) struct Clock {
    distance: Distance,
    taken: Instant,
}

/// Nanoseconds from the boot clock to the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Distance {
    /// What passed while the clocks were read: the offset may be wrong by half of it.
    within: i128,
    offset: i128,
}

impl Distance {
    /// This one, or the one before where no more than the reading differs: times of one connection are not to move
    /// by what a reading is unsure of.
    fn after(self, before: Self) -> Self {
        let unsure = self.within.max(before.within);
        if (self.offset - before.offset).abs() <= unsure {
            before
        } else {
            self
        }
    }
}

impl Clock {
    /// Takes the distance now.
    pub(super) fn now() -> Self {
        Self {
            distance: measure(),
            taken: Instant::now(),
        }
    }

    /// Nanoseconds from the boot clock to the wall clock.
    pub(super) fn offset(&mut self) -> i128 {
        if self.taken.elapsed() > LIFETIME {
            self.distance = measure().after(self.distance);
            self.taken = Instant::now();
        }
        self.distance.offset
    }
}

/// The boot clock is read on both sides of the wall clock; the closest pair has the least between.
fn measure() -> Distance {
    let mut best = Distance {
        within: i128::MAX,
        offset: 0,
    };
    for _ in 0..READINGS {
        let before = read(libc::CLOCK_BOOTTIME);
        let wall = read(libc::CLOCK_REALTIME);
        let after = read(libc::CLOCK_BOOTTIME);
        best = best.min(Distance {
            within: after - before,
            offset: wall - i128::midpoint(before, after),
        });
    }
    best
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

#[cfg(test)]
mod tests {
    use super::*;

    const fn distance(within: i128, offset: i128) -> Distance {
        Distance { within, offset }
    }

    #[test]
    fn a_distance_moves_by_what_a_clock_was_set_or_slewed_and_by_no_reading() {
        let first = distance(140, 1_000);
        let held = distance(150, 1_010).after(first);
        assert_eq!(held, first);
        // What is slewed a little each time is not held for ever.
        let slewed = distance(140, 1_141).after(held);
        assert_eq!(slewed, distance(140, 1_141));
        assert_eq!(distance(9_000, 1_200).after(first), first, "a rough one");
    }
}
