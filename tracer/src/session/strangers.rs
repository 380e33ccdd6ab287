//! Peers that do not speak TDS: told, but never in a flood.

use std::collections::HashMap;

use crate::record::Stranger;

/// Connections of one kind that are told at once.
const BURST: u64 = 20;
/// After that, one in this time, nanoseconds.
const INTERVAL: u64 = 100_000_000;

/// How many connections of each kind may still be told.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// Per kind, the moment up to which its allowance is used.
    used: HashMap<Stranger, u64>,
}

impl Limits {
    /// Whether a stranger's connection that ends now may be told.
    pub(super) fn allow(&mut self, kind: Stranger, now: u64) -> bool {
        let used = self.used.entry(kind).or_insert(0);
        let next = (*used).max(now.saturating_sub(BURST * INTERVAL)) + INTERVAL;
        if next > now {
            return false;
        }
        *used = next;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000_000_000_000;

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
