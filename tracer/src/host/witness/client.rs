//! A client's process over time.

use procfs::process::Process;

use super::{
    REST,
    cpu::{Limits, Mounts, Standing},
    history::History,
};
use crate::session::ProcessFacts;

/// How long the limits of a process are taken to be the same.
const LIMITS_LAST: u64 = 10_000_000_000;

/// A client's process.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) process: Process,
    pub(super) network: Option<u64>,
    pub(super) limits: (u64, Limits),
    /// When it began a login last.
    pub(super) used: u64,
    /// When it was last seen to be there.
    pub(super) alive: u64,
    pub(super) samples: History<Standing>,
}

impl Client {
    /// Whether its id is still its own: no host starts so many processes within a rest that one is used again.
    pub(super) fn is_itself(&self, now: u64) -> bool {
        now.saturating_sub(self.alive) < REST || self.process.is_alive()
    }

    /// Looks at it; of one that is gone what was known stays, and its control group is still there to be asked: the
    /// kernel counts how long it held a group back once it lets it go on.
    pub(super) fn look(&mut self, mounts: &Mounts, now: u64) {
        let is_there = self.process.is_alive();
        if is_there {
            self.alive = now;
        }
        if is_there && now.saturating_sub(self.limits.0) > LIMITS_LAST {
            self.limits = (now, mounts.limits(&self.process));
        }
        let limits = &self.limits.1;
        let standing = match self.samples.last() {
            Some((_, last)) if !is_there => Some(last.gone(limits)),
            _ => Standing::of(&self.process, limits),
        };
        if let Some(standing) = standing {
            self.samples.add(now, standing);
        }
    }

    /// How it fared from then to then. Where that lies between two moments, those count: the figures are
    /// then of a longer time, which is told.
    pub(super) fn between(&self, from: u64, to: u64) -> ProcessFacts {
        let Some(((first, then), (last, now))) = self.samples.between(from, to) else {
            return ProcessFacts::default();
        };
        let mut facts = now.since(then, last.saturating_sub(*first));
        let stopped = self.samples.within(from, to);
        let mut stopped = stopped.filter(|(_, standing)| standing.stopped);
        let first = stopped.next().map(|(at, _)| *at);
        facts.stopped = first.map(|first| {
            let last = stopped.next_back().map_or(first, |(at, _)| *at);
            last - first
        });
        facts
    }
}
