//! What was seen over time, with fewer and fewer moments the longer ago it is.

/// Moments that are remembered.
const MOST: usize = 64;

/// A moment, nanoseconds as in events, and what was seen then.
pub(super) type Seen<T> = (u64, T);

/// What was seen, in the order of its moments.
#[derive(Debug)]
pub(super) struct History<T> {
    seen: Vec<Seen<T>>,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self { seen: Vec::new() }
    }
}

impl<T> History<T> {
    /// One more moment. Where there are too many, every other one of the older half is forgotten.
    pub(super) fn add(&mut self, at: u64, seen: T) {
        if self.seen.len() >= MOST {
            let mut place = 0;
            self.seen.retain(|_| {
                place += 1;
                place == 1 || place % 2 == 1 || place > MOST / 2
            });
        }
        self.seen.push((at, seen));
    }

    /// The last one.
    pub(super) fn last(&self) -> Option<&Seen<T>> {
        self.seen.last()
    }

    /// Whether the last one is this long ago, or there is none.
    pub(super) fn is_older(&self, now: u64, than: u64) -> bool {
        self.last()
            .is_none_or(|(at, _)| now.saturating_sub(*at) >= than)
    }

    /// The last moment that is not after this one, or the first there is; and the last of all.
    pub(super) fn around(&self, since: u64) -> Option<(&T, &T)> {
        Some((&self.between(since, u64::MAX)?.0.1, &self.last()?.1))
    }

    /// The last moment that is not after `from`, or the first there is; and the first that is not before
    /// `to`, or the last there is.
    pub(super) fn between(&self, from: u64, to: u64) -> Option<(&Seen<T>, &Seen<T>)> {
        let before = self.seen.iter().rev().find(|(at, _)| *at <= from);
        let after = self.seen.iter().find(|(at, _)| *at >= to);
        let first = before.or(self.seen.first())?;
        Some((first, after.or(self.seen.last())?))
    }

    /// The moments from then to then.
    pub(super) fn within(
        &self,
        from: u64,
        to: u64,
    ) -> impl DoubleEndedIterator<Item = &Seen<T>> + Clone {
        let seen = self.seen.iter();
        seen.filter(move |(at, _)| (from..=to).contains(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_reaches_back_to_the_first() {
        let mut history = History::default();
        for at in 0..10_000 {
            history.add(at, at);
            assert!(history.seen.len() <= MOST);
        }
        assert_eq!(history.seen[0].0, 0);
        assert_eq!(history.last(), Some(&(9999, 9999)));
        assert!(history.seen.is_sorted());
        assert!(history.is_older(10_099, 100) && !history.is_older(10_098, 100));
    }

    #[test]
    fn a_time_lies_between_the_moments_around_it() {
        let mut history = History::default();
        assert_eq!(history.between(1, 2), None);
        for at in [10, 20, 30, 40] {
            history.add(at, at);
        }
        let between = |from, to| history.between(from, to).map(|(a, b)| (a.0, b.0));
        assert_eq!(between(21, 29), Some((20, 30)));
        assert_eq!(between(20, 30), Some((20, 30)));
        assert_eq!(between(5, 50), Some((10, 40)));
        assert_eq!(history.around(25), Some((&20, &40)));
        assert_eq!(history.within(15, 30).count(), 2);
    }
}
