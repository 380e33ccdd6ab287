//! Quantiles of many durations in little memory.

use tracer_ebpf::tally::{Tally, bucket, middle};

use crate::record::{Nanos, Quantiles};

/// The bucket of the largest value there is.
const LAST: u16 = bucket(u64::MAX);

/// A histogram whose buckets widen with the value; only those in use take memory. A quantile is within 1/16
/// of the truth; the largest is exact.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct Histogram {
    /// Bucket and count, ascending.
    buckets: Box<[(u16, u32)]>,
    count: u64,
    max: u64,
}

impl Histogram {
    pub(in crate::session) fn add(&mut self, nanos: u64) {
        self.put(bucket(nanos), 1);
        self.count += 1;
        self.max = self.max.max(nanos);
    }

    /// What the kernel has counted.
    pub(super) fn of(tally: &Tally) -> Self {
        let buckets: Box<[_]> = tally.in_use().collect();
        Self {
            count: buckets.iter().map(|(_, count)| u64::from(*count)).sum(),
            buckets,
            max: tally.sums.max,
        }
    }

    /// Adds what another histogram counted.
    pub(in crate::session) fn merge(&mut self, other: &Self) {
        for &(bucket, count) in &other.buckets {
            self.put(bucket, count);
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    fn put(&mut self, bucket: u16, count: u32) {
        let known = self.buckets.binary_search_by_key(&bucket, |(is, _)| *is);
        match known {
            Ok(place) => self.buckets[place].1 = self.buckets[place].1.saturating_add(count),
            Err(place) => {
                let mut buckets = std::mem::take(&mut self.buckets).into_vec();
                buckets.reserve_exact(1);
                buckets.insert(place, (bucket, count));
                self.buckets = buckets.into_boxed_slice();
            }
        }
    }

    /// The quantiles, or `None` of nothing.
    pub(in crate::session) fn quantiles(&self) -> Option<Quantiles> {
        (self.count > 0).then(|| Quantiles {
            p50: Nanos(self.at(50)),
            p99: Nanos(self.at(99)),
            max: Nanos(self.max),
        })
    }

    /// Forgets half of it, so that what comes now counts for more.
    pub(in crate::session) fn halve(&mut self) {
        let halves = self
            .buckets
            .iter()
            .map(|&(bucket, count)| (bucket, count / 2));
        self.buckets = halves.filter(|(_, count)| *count > 0).collect();
        self.count = self
            .buckets
            .iter()
            .map(|(_, count)| u64::from(*count))
            .sum();
    }

    /// How many values it has.
    pub(in crate::session) const fn count(&self) -> u64 {
        self.count
    }

    /// Its buckets with their counts, ascending.
    pub(in crate::session) fn buckets(&self) -> &[(u16, u32)] {
        &self.buckets
    }

    /// The histogram of these buckets; `None` where they are not ascending, or none has them.
    pub(in crate::session) fn of_buckets(buckets: &[(u16, u32)]) -> Option<Self> {
        let ascend = buckets.is_sorted_by(|(one, _), (next, _)| one < next);
        let last = buckets.last().map_or(0, |(bucket, _)| *bucket);
        let whole = ascend && last <= LAST && buckets.iter().all(|(_, count)| *count > 0);
        whole.then(|| Self {
            buckets: buckets.into(),
            count: buckets.iter().map(|(_, count)| u64::from(*count)).sum(),
            max: middle(last),
        })
    }

    fn at(&self, percent: u64) -> u64 {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for &(bucket, count) in &self.buckets {
            seen += u64::from(count);
            if seen >= rank {
                return middle(bucket).min(self.max);
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back_and_what_is_damaged_does_not() {
        let mut histogram = Histogram::default();
        for value in [1, 1000, 1000, 1_000_000, u64::MAX] {
            histogram.add(value);
        }
        let read = Histogram::of_buckets(histogram.buckets()).expect("a histogram");
        assert_eq!(read.buckets(), histogram.buckets());
        assert_eq!(read.count(), 5);
        for wrong in [
            &[(3, 1), (3, 1)][..],
            &[(4, 1), (3, 1)],
            &[(LAST + 1, 1)],
            &[(1, 0)],
        ] {
            assert!(Histogram::of_buckets(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn half_of_what_was_is_forgotten_and_what_was_seldom_altogether() {
        let mut histogram = Histogram::default();
        (0..10).for_each(|_| histogram.add(1000));
        histogram.add(1_000_000);
        histogram.halve();
        assert_eq!((histogram.count(), histogram.buckets().len()), (5, 1));
    }

    #[test]
    fn the_ninety_ninth_sees_past_the_median() {
        let mut histogram = Histogram::default();
        for value in 1..=1000_u64 {
            histogram.add(value * 1000);
        }
        let quantiles = histogram.quantiles().unwrap();
        assert!(quantiles.p50.0.abs_diff(500_000) < 500_000 / 15);
        assert!(quantiles.p99.0.abs_diff(990_000) < 990_000 / 15);
        assert_eq!(quantiles.max.0, 1_000_000);
        assert_eq!(Histogram::default().quantiles(), None);
    }
}
