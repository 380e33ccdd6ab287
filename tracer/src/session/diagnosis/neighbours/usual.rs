//! What is usual: quantiles of what a server did, of which old values count less and less.

use crate::session::dialogue::usage::Histogram;

/// So many have to be known before anything is usual.
const FEWEST: u64 = 8;
/// And so many before it is known what one in a hundred takes.
const FEWEST_OF_FEW: u64 = 100;
/// Where there are so many, half of them are forgotten.
pub(super) const MOST: u64 = 2048;

/// How long something usually takes, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::session) struct Typical {
    /// Half of them take no longer.
    pub(in crate::session) p50: u64,
    /// One in a hundred takes longer, where enough of them are known.
    pub(in crate::session) p99: Option<u64>,
}

/// The values so far, by the microsecond: a few hundred buckets whatever comes.
#[derive(Clone, Debug, Default)]
pub(super) struct Usual(Histogram);

impl Usual {
    /// One more, nanoseconds.
    pub(super) fn add(&mut self, value: u64) {
        self.0.add(value / 1000);
        if self.0.count() >= MOST {
            self.0.halve();
        }
    }

    /// What is typical of them, once there are enough.
    pub(super) fn typical(&self) -> Option<Typical> {
        let count = self.0.count();
        let quantiles = self.0.quantiles().filter(|_| count >= FEWEST)?;
        Some(Typical {
            p50: quantiles.p50.0.saturating_mul(1000),
            p99: (count >= FEWEST_OF_FEW).then(|| quantiles.p99.0.saturating_mul(1000)),
        })
    }

    /// Their median, nanoseconds, once there are enough of them.
    pub(super) fn median(&self) -> Option<u64> {
        self.typical().map(|typical| typical.p50)
    }

    /// It as it is kept.
    pub(super) fn kept(&self) -> Vec<(u16, u32)> {
        self.0.buckets().to_vec()
    }

    /// It as it was kept; `None` where that can not be.
    pub(super) fn read(kept: &[(u16, u32)]) -> Option<Self> {
        Histogram::of_buckets(kept)
            .filter(|histogram| histogram.count() < MOST)
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_so_far_say_what_is_usual_once_there_are_enough() {
        let mut usual = Usual::default();
        for value in 1..=7 {
            usual.add(value * 1_000_000);
        }
        assert_eq!(usual.typical(), None);
        usual.add(1_000_000_000);
        let median = usual.median().expect("enough");
        assert!(
            median.abs_diff(4_000_000) < 300_000,
            "one that is odd changes little"
        );
        (0..100).for_each(|_| usual.add(4_000_000));
        let typical = usual.typical().expect("enough");
        assert!(typical.p99.is_some_and(|p99| p99 > typical.p50));
    }

    #[test]
    fn what_is_new_becomes_usual_and_memory_stays_small() {
        let mut usual = Usual::default();
        (0..100_000_u64).for_each(|value| usual.add(value * 1_000_000));
        assert!(usual.0.count() < MOST);
        assert!(usual.kept().len() < 300, "{}", usual.kept().len());
        (0..3 * MOST).for_each(|_| usual.add(3_000_000));
        let median = usual.median().expect("enough");
        assert!(median.abs_diff(3_000_000) < 200_000, "{median}");
    }

    #[test]
    fn what_is_kept_reads_back() {
        let mut usual = Usual::default();
        (0..500_u64).for_each(|value| usual.add(value * 10_000));
        let read = Usual::read(&usual.kept()).expect("what was kept");
        assert_eq!(read.typical(), usual.typical());
        assert!(
            Usual::read(&[(1, u32::MAX)]).is_none(),
            "more than is ever kept"
        );
    }
}
