//! Quantiles of many durations in little memory.

use tracer_ebpf::tally::{Tally, bucket, middle};

use crate::record::{Nanos, Quantiles};

/// A histogram whose buckets widen with the value; only those in use take memory. A quantile is within 1/16
/// of the truth; the largest is exact.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    /// Bucket and count, ascending.
    buckets: Box<[(u16, u32)]>,
    count: u64,
    max: u64,
}

impl Histogram {
    pub(super) fn add(&mut self, nanos: u64) {
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
    pub(super) fn merge(&mut self, other: &Self) {
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
    pub(super) fn quantiles(&self) -> Option<Quantiles> {
        (self.count > 0).then(|| Quantiles {
            p50: Nanos(self.at(50)),
            p99: Nanos(self.at(99)),
            max: Nanos(self.max),
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
