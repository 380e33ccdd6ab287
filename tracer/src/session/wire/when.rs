//! A moment that may be missing, in no more room than one that is not.

use std::num::NonZeroU64;

/// When something happened, or how long it took, if it did; nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::session) struct When(Option<NonZeroU64>);

impl When {
    /// Never, or it is not known.
    pub(in crate::session) const NEVER: Self = Self(None);

    /// Then. No clock comes to the last of all moments, which is taken for the one before it.
    pub(in crate::session) fn at(moment: u64) -> Self {
        Self(NonZeroU64::new(!moment).or(Some(NonZeroU64::MIN)))
    }

    /// Then, if not at a moment that is known already.
    pub(in crate::session) fn or_at(&mut self, moment: u64) {
        if self.0.is_none() {
            *self = Self::at(moment);
        }
    }

    /// The moment.
    pub(in crate::session) fn moment(self) -> Option<u64> {
        self.0.map(|moment| !moment.get())
    }

    /// Whether it has come.
    pub(in crate::session) fn has_come(self) -> bool {
        self.0.is_some()
    }
}

impl From<Option<u64>> for When {
    fn from(moment: Option<u64>) -> Self {
        moment.map_or(Self::NEVER, Self::at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_may_be_missing_takes_eight_bytes() {
        assert_eq!(size_of::<When>(), 8);
        for moment in [None, Some(0), Some(1), Some(u64::MAX - 1)] {
            assert_eq!(When::from(moment).moment(), moment);
        }
        assert_eq!(When::at(u64::MAX).moment(), Some(u64::MAX - 1));
        let mut when = When::NEVER;
        when.or_at(7);
        when.or_at(8);
        assert_eq!(when.moment(), Some(7));
    }
}
