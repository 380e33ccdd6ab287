//! How long things took: quantiles within one part in a hundred.

use hdrhistogram::Histogram;

/// Durations, in bounded memory whatever comes.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    /// Microseconds; `None` where the library made none, which it does for these bounds.
    histogram: Option<Histogram<u32>>,
    longest: u64,
}

impl Default for Spread {
    fn default() -> Self {
        Self {
            histogram: Histogram::new(2).ok(),
            longest: 0,
        }
    }
}

impl Spread {
    /// One more, nanoseconds.
    pub(super) fn add(&mut self, nanoseconds: u64) {
        self.longest = self.longest.max(nanoseconds);
        if let Some(histogram) = &mut self.histogram {
            // An hour: what takes longer than that is not told apart.
            let recorded = histogram.record((nanoseconds / 1_000).clamp(1, 3_600_000_000));
            debug_assert!(recorded.is_ok(), "it grows as far as an hour");
        }
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, Histogram::len)
    }

    /// As many took no longer, nanoseconds; `None` where there is none.
    pub(super) fn quantile(&self, quantile: f64) -> Option<u64> {
        let histogram = self.histogram.as_ref().filter(|all| !all.is_empty())?;
        Some((histogram.value_at_quantile(quantile) * 1_000).min(self.longest))
    }

    /// The longest, nanoseconds.
    pub(super) fn longest(&self) -> Option<u64> {
        (self.count() > 0).then_some(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn quantiles_are_right_within_a_hundredth() {
        let mut spread = Spread::default();
        assert_eq!(spread.quantile(0.5), None);
        for milliseconds in 1..=1_000 {
            spread.add(milliseconds * 1_000_000);
        }
        for (quantile, right) in [(0.5, 500e6), (0.9, 900e6), (0.99, 990e6)] {
            let found = spread.quantile(quantile).expect("some") as f64;
            assert!((found / right - 1.0).abs() < 0.01, "{quantile}: {found}");
        }
        assert_eq!(spread.longest(), Some(1_000_000_000));
        spread.add(u64::MAX);
        assert_eq!(spread.longest(), Some(u64::MAX));
    }
}
