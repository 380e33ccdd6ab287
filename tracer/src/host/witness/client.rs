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
    pub(super) samples: History<Standing>,
}

impl Client {
    /// Whether its id is still its own: no host starts so many processes within a rest that one is used again.
    pub(super) fn is_itself(&self, now: u64) -> bool {
        !self.samples.is_older(now, REST) || self.process.is_alive()
    }

    /// Looks at it; of one that is gone what was known stays.
    pub(super) fn look(&mut self, mounts: &Mounts, now: u64) {
        if now.saturating_sub(self.limits.0) > LIMITS_LAST {
            self.limits = (now, mounts.limits(&self.process));
        }
        if let Some(standing) = Standing::of(&self.process, &self.limits.1) {
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
