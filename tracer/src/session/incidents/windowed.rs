//! How much of something there was of late.

/// Parts of a window.
pub(super) const PARTS: u64 = 12;

/// A count over the last window, kept by its parts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Windowed {
    counts: [u32; PARTS as usize],
    /// The number of the newest part.
    newest: u64,
}

impl Windowed {
    /// One more in the part of this number. What comes late counts as new.
    pub(super) fn add(&mut self, part: u64) {
        self.reach(part);
        let place = &mut self.counts[(self.newest % PARTS) as usize];
        *place = place.saturating_add(1);
    }

    /// The sum of the parts up to this one.
    pub(super) fn sum(&mut self, part: u64) -> u32 {
        self.reach(part);
        self.counts.iter().copied().fold(0, u32::saturating_add)
    }

    /// The number of the newest part.
    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    fn reach(&mut self, part: u64) {
        let is_far = |from: u64, to: u64| to >= from.saturating_add(PARTS);
        // Or the clock was set back.
        if is_far(self.newest, part) || is_far(part, self.newest) {
            self.counts = Default::default();
            self.newest = part;
        }
        while self.newest < part {
            self.newest += 1;
            self.counts[(self.newest % PARTS) as usize] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_window_counts_no_more() {
        let mut windowed = Windowed::default();
        for part in [5, 5, 6, 16] {
            windowed.add(part);
        }
        assert_eq!(windowed.sum(16), 4);
        assert_eq!(windowed.sum(17), 2);
        windowed.add(13);
        assert_eq!(windowed.sum(17), 3, "what comes late counts as new");
        assert_eq!(windowed.sum(1000), 0);
    }
}
