//! Logins over time, in steps that get wider as the time gets longer.

use std::collections::BTreeMap;

use super::line::Moment;

/// Steps at most.
const STEPS: i64 = 240;
/// How wide a step is at first: a second.
const FIRST: i64 = 1_000_000_000;
/// How many times as wide the next width is.
const WIDER: i64 = 2;

/// What happened within a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) well: u64,
    pub(super) slow: u64,
    pub(super) failed: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    width: i64,
    steps: BTreeMap<i64, Step>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            width: FIRST,
            steps: BTreeMap::new(),
        }
    }
}

impl Timeline {
    /// A login was decided then.
    pub(super) fn add(&mut self, at: Moment, failed: bool, slow: bool) {
        let step = self.steps.entry(at.0.div_euclid(self.width)).or_default();
        match (failed, slow) {
            (true, _) => step.failed += 1,
            (_, true) => step.slow += 1,
            _ => step.well += 1,
        }
        while self.span() > STEPS {
            self.widen();
        }
    }

    fn span(&self) -> i64 {
        let first = self.steps.first_key_value();
        let last = self.steps.last_key_value();
        first
            .zip(last)
            .map_or(0, |((first, _), (last, _))| last - first + 1)
    }

    fn widen(&mut self) {
        self.width *= WIDER;
        for (at, step) in std::mem::take(&mut self.steps) {
            let wide = self.steps.entry(at.div_euclid(WIDER)).or_default();
            wide.well += step.well;
            wide.slow += step.slow;
            wide.failed += step.failed;
        }
    }

    /// How wide a step is, nanoseconds.
    pub(super) fn width(&self) -> u64 {
        self.width.unsigned_abs()
    }

    /// When the first step begins.
    pub(super) fn start(&self) -> Option<Moment> {
        let (first, _) = self.steps.first_key_value()?;
        Some(Moment(first * self.width))
    }

    /// All steps, those in which nothing happened too.
    pub(super) fn steps(&self) -> Vec<Step> {
        let first = self.steps.first_key_value().map_or(0, |(first, _)| *first);
        let at = |offset| self.steps.get(&(first + offset)).copied();
        (0..self.span())
            .map(|offset| at(offset).unwrap_or_default())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_get_wider_and_nothing_is_lost() {
        let mut timeline = Timeline::default();
        for second in 0..100_000 {
            let at = Moment(1_700_000_000_000_000_000 + second * 1_000_000_000);
            timeline.add(at, second % 10 == 0, second % 10 == 1);
        }
        let steps = timeline.steps();
        let many = steps.len().cast_signed() as i64;
        assert!((STEPS / 3..=STEPS).contains(&many), "{}", steps.len());
        let failed: u64 = steps.iter().map(|step| step.failed).sum();
        let all: u64 = steps
            .iter()
            .map(|step| step.well + step.slow + step.failed)
            .sum();
        assert_eq!((failed, all), (10_000, 100_000));
    }

    #[test]
    fn a_time_far_away_takes_no_room() {
        let mut timeline = Timeline::default();
        timeline.add(Moment(0), false, false);
        timeline.add(Moment(i64::MAX), true, false);
        assert!(timeline.steps().len().cast_signed() as i64 <= STEPS);
    }
}
