//! What is usual: the median of the last few values.

/// Values kept.
const KEPT: usize = 15;
/// So many have to be known before anything is usual.
const FEWEST: u8 = 8;

/// The last values, microseconds: four bytes are enough for an hour.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usual {
    values: [u32; KEPT],
    count: u8,
    next: u8,
}

impl Usual {
    /// One more, nanoseconds.
    pub(super) fn add(&mut self, value: u64) {
        self.values[usize::from(self.next)] = u32::try_from(value / 1000).unwrap_or(u32::MAX);
        self.next = (self.next + 1) % KEPT as u8;
        self.count = (self.count + 1).min(KEPT as u8);
    }

    /// Their median, nanoseconds, once there are enough of them.
    pub(super) fn median(&self) -> Option<u64> {
        if self.count < FEWEST {
            return None;
        }
        let mut values = self.values;
        let known = &mut values[..usize::from(self.count)];
        known.sort_unstable();
        Some(u64::from(known[known.len() / 2]) * 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_values_say_what_is_usual_once_there_are_enough() {
        let mut usual = Usual::default();
        for value in 1..=7 {
            usual.add(value * 1_000_000);
        }
        assert_eq!(usual.median(), None);
        usual.add(1_000_000_000);
        assert_eq!(
            usual.median(),
            Some(5_000_000),
            "one that is odd changes little"
        );
        (0..KEPT).for_each(|_| usual.add(3_000));
        assert_eq!(usual.median(), Some(3_000), "old ones are forgotten");
    }
}
