//! The connections that are remembered: those that are going on, within bounds.

use foldhash::HashMap;
use tracer_ebpf::{
    flow::{Flow, FlowKey, decided},
    patience::{AFTER_RESET, HALF_OPEN, UNANSWERED},
    tally::Tally,
};

use super::proof::Candidate;
use crate::capture::copies::Copies;

/// Connections remembered at once.
const MAX_FLOWS: usize = 65_536;
/// The part of the table, or of the bytes held back, that gives way at once.
const EVICTED_SHARE: usize = 16;
/// Below, nobody looks for what is over.
const MIN_SWEPT: usize = 1024;
/// Bytes held back of all candidates.
const MAX_HELD_BYTES: usize = 8 * 1024 * 1024;

/// How much longer than the engine waits for more of a connection it is remembered here, nanoseconds
/// as below: so that nothing of it opens another one before the engine has told it.
const LONGER: u64 = 2_000_000_000;
/// How long a foreign one is, whose end is not looked for.
const FOREIGN: u64 = 3_600_000_000_000;

#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) flow: Flow,
    pub(super) last_seen: u64,
    /// See [`tracer_ebpf::flow::decided`].
    pub(super) decided: u8,
    /// Its requests, where they are counted.
    pub(super) tally: Option<Box<Tally>>,
    /// A packet without a time was counted among them.
    pub(super) counted_untimed: bool,
    /// It has ended; copies of its last packets may still come.
    pub(super) ended: bool,
    /// Checksums looked at.
    pub(super) checksums: [u8; 2],
    pub(super) copies: Copies,
    /// What is held back until the connection proves to be SQL Server's.
    pub(super) candidate: Option<Box<Candidate>>,
}

impl Tracked {
    pub(super) fn new(flow: &Flow, candidate: Option<Box<Candidate>>) -> Self {
        Self {
            flow: *flow,
            last_seen: flow.born,
            decided: decided::NO,
            tally: None,
            counted_untimed: false,
            ended: false,
            checksums: [0; 2],
            copies: Copies::default(),
            candidate,
        }
    }

    /// Whether nothing more is to come of it.
    pub(super) fn is_over(&self, now: u64) -> bool {
        if self.ended {
            return true;
        }
        let quiet = now.saturating_sub(self.last_seen);
        // Nearly always; the rest need not be looked at.
        if quiet < AFTER_RESET + LONGER {
            return false;
        }
        let flow = &self.flow;
        let [client, server] = &flow.halves;
        let closing = client.fin != 0 || server.fin != 0;
        let unproven = self.candidate.is_some() || self.is_unanswered();
        flow.reset != 0
            || closing && quiet >= HALF_OPEN + LONGER
            || unproven && quiet >= UNANSWERED + LONGER
            || flow.foreign != 0 && quiet >= FOREIGN
    }

    /// Whether there is nothing but SYNs to a watched port.
    fn is_unanswered(&self) -> bool {
        let [client, server] = &self.flow.halves;
        self.flow.foreign == 0 && server.sent.packets == 0 && client.sent.bytes == 0
    }

    pub(super) fn held_bytes(&self) -> usize {
        let candidate = self.candidate.as_ref();
        candidate.map_or(0, |candidate| candidate.held_bytes())
    }

    /// Whether something is missed without it: not of what is over, has not begun like a login, or has
    /// been told as never answered.
    fn would_be_missed(&self, now: u64) -> bool {
        let candidate = self.candidate.as_ref();
        let speaks = candidate.is_none_or(|candidate| candidate.has_asked());
        let told = self.decided != decided::NO && self.is_unanswered();
        speaks && !told && self.flow.foreign == 0 && !self.is_over(now)
    }
}

#[derive(Debug)]
pub(super) struct Table {
    /// Apart from their keys: a table that has grown is mostly empty places.
    flows: HashMap<FlowKey, Box<Tracked>>,
    /// As many make it worth while to look for those that are over.
    swept_at: usize,
    held_bytes: usize,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            flows: HashMap::default(),
            swept_at: MIN_SWEPT,
            held_bytes: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: &FlowKey) -> Option<&mut Tracked> {
        self.flows.get_mut(key).map(Box::as_mut)
    }

    /// The connections that the engine knows.
    pub(super) fn watched(&self) -> impl Iterator<Item = (&FlowKey, &Tracked)> {
        let known = |tracked: &Tracked| tracked.candidate.is_none() && tracked.flow.foreign == 0;
        let flows = self.flows.iter();
        let flows = flows.filter(move |(_, tracked)| known(tracked));
        flows.map(|(key, tracked)| (key, tracked.as_ref()))
    }

    /// Remembers a connection; how many logins are missed for it.
    pub(super) fn insert(&mut self, key: FlowKey, tracked: Tracked) -> u64 {
        self.remove(&key);
        let now = tracked.last_seen;
        let missed = self.make_room(now);
        self.flows.insert(key, Box::new(tracked));
        missed
    }

    /// A connection has ended: it is remembered for its copies' sake until the table is swept.
    pub(super) fn leave(&mut self, key: &FlowKey) {
        self.release(key);
        if let Some(tracked) = self.flows.get_mut(key) {
            tracked.ended = true;
        }
    }

    pub(super) fn remove(&mut self, key: &FlowKey) {
        if let Some(tracked) = self.flows.remove(key) {
            self.held_bytes -= tracked.held_bytes();
        }
    }

    /// What was held back of a connection, which has shown what it is.
    pub(super) fn release(&mut self, key: &FlowKey) -> Option<Box<Candidate>> {
        let tracked = self.flows.get_mut(key)?;
        self.held_bytes -= tracked.held_bytes();
        tracked.candidate.take()
    }

    /// So many bytes more are held back; how many logins are missed for it.
    pub(super) fn hold(&mut self, bytes: usize, now: u64) -> u64 {
        self.held_bytes += bytes;
        if self.held_bytes <= MAX_HELD_BYTES {
            return 0;
        }
        let candidates = self.idle(|tracked| tracked.candidate.is_some(), now);
        let mut missed = 0;
        for (is_missed, _, key) in candidates {
            if self.held_bytes <= MAX_HELD_BYTES - MAX_HELD_BYTES / EVICTED_SHARE {
                break;
            }
            self.remove(&key);
            missed += u64::from(is_missed);
        }
        missed
    }

    /// Lets go of those that are over whenever the table has doubled, and where that is not enough
    /// of the longest idle.
    fn make_room(&mut self, now: u64) -> u64 {
        if self.flows.len() < self.swept_at {
            return 0;
        }
        let held = &mut self.held_bytes;
        self.flows.retain(|_, tracked| {
            let is_over = tracked.is_over(now);
            if is_over {
                *held -= tracked.held_bytes();
            }
            !is_over
        });
        self.swept_at = (2 * self.flows.len()).clamp(MIN_SWEPT, MAX_FLOWS);
        if self.flows.len() < MAX_FLOWS {
            return 0;
        }
        let mut missed = 0;
        for (is_missed, _, key) in self
            .idle(|_| true, now)
            .into_iter()
            .take(MAX_FLOWS / EVICTED_SHARE)
        {
            self.remove(&key);
            missed += u64::from(is_missed);
        }
        missed
    }

    /// The connections of a kind: whether each would be missed, and when it was last seen. Those that
    /// would not be missed are first, then the longest idle.
    fn idle(&self, of_kind: impl Fn(&Tracked) -> bool, now: u64) -> Vec<(bool, u64, FlowKey)> {
        let flows = self.flows.iter().filter(|(_, tracked)| of_kind(tracked));
        let mut idle: Vec<_> = flows
            .map(|(key, tracked)| (tracked.would_be_missed(now), tracked.last_seen, *key))
            .collect();
        idle.sort_unstable();
        idle
    }
}
