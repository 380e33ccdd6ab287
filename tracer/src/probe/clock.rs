//! From the kernel's clock to the wall's.

/// How long an offset is good for, nanoseconds of the boot clock, which goes on while the host is suspended: the wall
/// clock may be set, and is slewed.
const LIFETIME: i128 = 1_000_000_000;
/// Readings of which the closest pair is taken.
const READINGS: usize = 5;

/// The wall clock's distance from `CLOCK_BOOTTIME`.
pub(super) struct Clock {
    distance: Distance,
    /// When it was taken, by the boot clock.
    taken: i128,
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
        Self::by(&read)
    }

    fn by(read: &impl Fn(libc::clockid_t) -> i128) -> Self {
        Self {
            distance: measure(read),
            taken: read(libc::CLOCK_BOOTTIME),
        }
    }

    /// Nanoseconds from the boot clock to the wall clock.
    pub(super) fn offset(&mut self) -> i128 {
        self.offset_by(&read)
    }

    fn offset_by(&mut self, read: &impl Fn(libc::clockid_t) -> i128) -> i128 {
        if read(libc::CLOCK_BOOTTIME) - self.taken > LIFETIME {
            let now = Self::by(read);
            self.distance = now.distance.after(self.distance);
            self.taken = now.taken;
        }
        self.distance.offset
    }
}

/// The boot clock is read on both sides of the wall clock; the closest pair has the least between.
fn measure(read: &impl Fn(libc::clockid_t) -> i128) -> Distance {
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
    use std::cell::Cell;

    use super::{Clock, Distance};

    const SECOND: i128 = 1_000_000_000;
    const START: i128 = 1_790_000_000 * SECOND;

    /// Clocks that go by what a test says, and a nanosecond more with each reading.
    struct Clocks {
        boot: Cell<i128>,
        wall: Cell<i128>,
    }

    impl Clocks {
        fn new() -> Self {
            Self {
                boot: Cell::new(100 * SECOND),
                wall: Cell::new(START),
            }
        }

        fn read(&self, clock: libc::clockid_t) -> i128 {
            self.pass(1);
            if clock == libc::CLOCK_BOOTTIME {
                self.boot.get()
            } else {
                self.wall.get()
            }
        }

        fn pass(&self, time: i128) {
            self.boot.set(self.boot.get() + time);
            self.wall.set(self.wall.get() + time);
        }

        /// How far the wall clock's time of a record of now is from what that clock shows.
        fn off(&self, clock: &mut Clock) -> i128 {
            let told = self.boot.get() + clock.offset_by(&|clock| self.read(clock));
            (told - self.wall.get()).abs()
        }
    }

    #[test]
    fn a_clock_that_is_set_is_followed_within_a_second_forth_and_back() {
        let clocks = Clocks::new();
        let mut clock = Clock::by(&|clock| clocks.read(clock));
        for step in [3600, -7200, 86_400] {
            assert!(clocks.off(&mut clock) < 100);
            clocks.wall.set(clocks.wall.get() + step * SECOND);
            clocks.pass(SECOND + 1);
            assert!(clocks.off(&mut clock) < 100, "{step} s");
        }
    }

    #[test]
    fn after_a_suspend_the_first_record_has_its_time_also_where_the_wall_clock_was_corrected() {
        let clocks = Clocks::new();
        let mut clock = Clock::by(&|clock| clocks.read(clock));
        let before = clocks.boot.get() + clock.distance.offset;
        // Both go on meanwhile, and the battery's clock was three seconds off.
        clocks.pass(8 * 3600 * SECOND);
        clocks.wall.set(clocks.wall.get() + 3 * SECOND);
        assert!(clocks.off(&mut clock) < 100);
        assert!(
            (before - START).abs() < 100,
            "what came before is as it was"
        );
    }

    #[test]
    fn a_reading_that_was_interrupted_does_not_count() {
        let clocks = Clocks::new();
        let readings = Cell::new(0);
        let mut clock = Clock::by(&|clock| {
            readings.set(readings.get() + 1);
            if readings.get() == 2 {
                clocks.boot.set(clocks.boot.get() + SECOND);
                clocks.wall.set(clocks.wall.get() + SECOND);
            }
            clocks.read(clock)
        });
        assert!(clocks.off(&mut clock) < 100);
    }

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
