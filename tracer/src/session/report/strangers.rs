//! Peers that do not speak TDS: told, but never in a flood.

use std::collections::HashMap;

use crate::record::Stranger;

/// Connections of one kind that are told at once.
const BURST: u64 = 20;
/// After that, one in this time, nanoseconds.
const INTERVAL: u64 = 100_000_000;

/// How many connections of a kind may still be told.
#[derive(Debug, Default)]
pub(in crate::session) struct Limit {
    /// When all of its allowance is there again.
    full_at: u64,
}

impl Limit {
    /// Whether one more that ends now may be told.
    pub(in crate::session) fn allow(&mut self, now: u64) -> bool {
        let after = now.max(self.full_at).saturating_add(INTERVAL);
        let allowed = after - now <= BURST * INTERVAL;
        if allowed {
            self.full_at = after;
        }
        allowed
    }
}

/// How many connections of each kind may still be told.
#[derive(Debug, Default)]
pub(in crate::session) struct Limits(HashMap<Stranger, Limit>);

impl Limits {
    /// Whether a stranger's connection that ends now may be told.
    pub(in crate::session) fn allow(&mut self, kind: Stranger, now: u64) -> bool {
        self.0.entry(kind).or_default().allow(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000_000_000_000;

    #[test]
    fn a_clock_that_has_only_just_begun_allows_the_same() {
        let mut limits = Limits::default();
        let told = (0..1000)
            .filter(|_| limits.allow(Stranger::Http, 0))
            .count() as u64;
        assert_eq!(told, BURST);
    }

    #[test]
    fn a_burst_is_told_and_then_one_in_a_while() {
        let mut limits = Limits::default();
        let told = (0..1000)
            .filter(|_| limits.allow(Stranger::Http, START))
            .count() as u64;
        assert_eq!(told, BURST);
        assert!(!limits.allow(Stranger::Http, START + INTERVAL - 1));
        assert!(limits.allow(Stranger::Http, START + INTERVAL));
        assert!(
            limits.allow(Stranger::Other, START),
            "each kind has its own allowance"
        );
    }
}
