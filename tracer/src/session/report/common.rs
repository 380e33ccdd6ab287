//! What many connections have in common, kept once.

use std::{collections::HashSet, hash::Hash, sync::Arc};

use foldhash::fast::RandomState;

/// As many values may be there before it is looked for those that nobody has any more.
const FEWEST: usize = 64;

/// Values that many connections have in common. No more than twice as many are there as are in use.
#[derive(Debug)]
pub(super) struct Common<T> {
    known: HashSet<Arc<T>, RandomState>,
    /// When there are as many, those that nobody has any more are forgotten.
    most: usize,
}

impl<T> Default for Common<T> {
    fn default() -> Self {
        Self {
            known: HashSet::default(),
            most: FEWEST,
        }
    }
}

impl<T: Clone + Eq + Hash> Common<T> {
    /// The same value, shared with whoever has it.
    pub(super) fn share(&mut self, value: &T) -> Arc<T> {
        if let Some(known) = self.known.get(value) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.most {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.most = FEWEST.max(2 * self.known.len());
            self.known.shrink_to(self.most);
        }
        let new = Arc::new(value.clone());
        self.known.insert(Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_is_kept_once() {
        let mut common = Common::default();
        let first = common.share(&"a".to_owned());
        assert!(Arc::ptr_eq(&first, &common.share(&"a".to_owned())));
        assert_eq!(*common.share(&"b".to_owned()), "b");
    }

    #[test]
    fn what_nobody_has_any_more_is_forgotten_and_what_is_in_use_is_not() {
        let mut common = Common::default();
        let held: Vec<_> = (0..100_u32).map(|value| common.share(&value)).collect();
        for value in 1000..10_000 {
            common.share(&value);
            assert!(common.known.len() <= 2 * held.len().max(FEWEST));
        }
        for value in &held {
            assert!(Arc::ptr_eq(value, &common.share(value)));
        }
    }
}
