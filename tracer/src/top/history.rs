//! The last hour, second by second: how many logins ended how, and how long their phases took.

use std::collections::VecDeque;

use super::seen::{Fate, Seen};

/// Seconds that are kept.
pub(super) const SECONDS: usize = 3600;
/// Phases of a login, in their usual order, and the login as a whole.
pub(super) const PHASES: [&str; 6] = ["handshake", "prelogin", "tls", "login", "auth", "whole"];
const WHOLE: usize = PHASES.len() - 1;

/// How long something took in a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Took {
    pub(super) count: u32,
    /// Microseconds.
    pub(super) sum_us: u64,
    pub(super) longest_us: u32,
}

impl Took {
    fn add(&mut self, nanoseconds: u64) {
        let us = nanoseconds / 1_000;
        self.count += 1;
        self.sum_us += us;
        self.longest_us = self.longest_us.max(u32::try_from(us).unwrap_or(u32::MAX));
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_us += other.sum_us;
        self.longest_us = self.longest_us.max(other.longest_us);
    }

    /// Nanoseconds; `None` where there was none.
    pub(super) fn mean_ns(&self) -> Option<u64> {
        (self.count > 0).then(|| self.sum_us * 1_000 / u64::from(self.count))
    }

    /// Nanoseconds.
    pub(super) fn longest_ns(&self) -> u64 {
        u64::from(self.longest_us) * 1_000
    }
}

/// What happened in a second, or in several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) well: u32,
    pub(super) slow: u32,
    pub(super) failed: u32,
    pub(super) lost: u32,
    /// How long the client, the network and the server were waited for, microseconds.
    pub(super) waited_us: [u64; 3],
    pub(super) phases: [Took; PHASES.len()],
}

impl Moment {
    pub(super) fn logins(&self) -> u32 {
        self.well + self.slow + self.failed
    }

    fn join(&mut self, other: &Self) {
        self.well += other.well;
        self.slow += other.slow;
        self.failed += other.failed;
        self.lost = self.lost.saturating_add(other.lost);
        for (own, other) in self.waited_us.iter_mut().zip(other.waited_us) {
            *own += other;
        }
        for (own, other) in self.phases.iter_mut().zip(&other.phases) {
            own.join(other);
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// The second of the youngest moment, since 1970.
    last: u64,
    moments: VecDeque<Moment>,
}

impl History {
    /// Time has come to this second.
    pub(super) fn pass(&mut self, second: u64) {
        if self.moments.is_empty() {
            self.last = second;
            self.moments.push_back(Moment::default());
            return;
        }
        let gone = second.saturating_sub(self.last).min(SECONDS as u64);
        for _ in 0..gone {
            self.moments.push_back(Moment::default());
        }
        self.last = self.last.max(second);
        while self.moments.len() > SECONDS {
            self.moments.pop_front();
        }
    }

    /// The moment of a second; `None` where that is longer ago than is kept.
    fn at(&mut self, second: u64) -> Option<&mut Moment> {
        self.pass(second);
        let ago = usize::try_from(self.last - second).ok()?;
        if ago >= SECONDS {
            return None;
        }
        // Lines may be a little out of order.
        while self.moments.len() <= ago {
            self.moments.push_front(Moment::default());
        }
        let index = self.moments.len() - 1 - ago;
        self.moments.get_mut(index)
    }

    pub(super) fn login(&mut self, seen: &Seen) {
        let Some(moment) = self.at(seen.at_ns / 1_000_000_000) else {
            return;
        };
        match seen.fate {
            Fate::Well => moment.well += 1,
            Fate::Slow => moment.slow += 1,
            Fate::Failed => moment.failed += 1,
        }
        moment.phases[WHOLE].add(seen.took_ns);
        for row in &seen.fall.rows {
            if let Some(at) = PHASES[..WHOLE].iter().position(|name| *name == row.name) {
                moment.phases[at].add(row.duration_ns);
            }
            for (sum, waited) in moment
                .waited_us
                .iter_mut()
                .zip(row.waited_ns.unwrap_or_default())
            {
                *sum += waited / 1_000;
            }
        }
    }

    pub(super) fn lost(&mut self, second: u64, count: u64) {
        if let Some(moment) = self.at(second) {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            moment.lost = moment.lost.saturating_add(count);
        }
    }

    /// The last `seconds`, in `parts` moments of equal length, the youngest last.
    pub(super) fn parts(&self, seconds: usize, parts: usize) -> Vec<Moment> {
        let parts = parts.clamp(1, seconds.max(1));
        let mut joined = vec![Moment::default(); parts];
        for (ago, moment) in self.moments.iter().rev().take(seconds).enumerate() {
            joined[parts - 1 - ago * parts / seconds.max(1)].join(moment);
        }
        joined
    }

    /// All of the last `seconds`.
    pub(super) fn whole(&self, seconds: usize) -> Moment {
        self.parts(seconds, 1)[0]
    }

    /// So many seconds of these are known.
    pub(super) fn known(&self, seconds: usize) -> usize {
        self.moments.len().min(seconds).max(1)
    }
}
