//! Connections that are let go though they have not ended: the longest idle when the table is full,
//! and those that have been silent for too long.

use tracer_ebpf::flow::FlowKey;

use super::{Engine, Entry, Listener};
use crate::record::{LossReason, PartialReason};

/// The part of the table that is evicted at once when it is full, and no more than so many: the
/// output has a queue.
const EVICTED_SHARE: usize = 16;
const MAX_EVICTED: usize = 512;
/// How often silent connections are looked for, in parts of the time they may be silent.
const SWEEPS: u64 = 64;

impl Engine {
    /// Makes room: the longest idle give way, those that have ended first.
    pub(super) fn evict(&mut self, now: u64, listener: &mut dyn Listener) {
        let mut idle: Vec<(u64, FlowKey)> = self
            .connections
            .iter()
            .map(|(key, entry)| match entry {
                Entry::Beginning(beginning) => (beginning.last_seen(), *key),
                Entry::Open(connection) => (connection.last_seen, *key),
                Entry::Over { .. } => (0, *key),
            })
            .collect();
        let share = (idle.len() / EVICTED_SHARE)
            .clamp(1, MAX_EVICTED)
            .min(idle.len());
        if share < idle.len() {
            idle.select_nth_unstable(share - 1);
        }
        idle.truncate(share);
        idle.sort_unstable();
        for (_, key) in idle {
            let Some(mut entry) = self.connections.remove(&key) else {
                continue;
            };
            self.let_go(&mut entry, now, now, listener);
        }
    }

    /// Lets go of connections that have been silent for too long. One whose socket is on this host
    /// is not among them: it says itself when it ends.
    pub(super) fn sweep(&mut self, now: u64, listener: &mut dyn Listener) {
        let patience = self.shared.config.idle_patience;
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now.saturating_add(patience / SWEEPS);
        let idle = |entry: &Entry| match entry {
            Entry::Open(connection) => {
                !connection.is_listed && connection.is_silent_since(now.saturating_sub(patience))
            }
            Entry::Beginning(_) | Entry::Over { .. } => false,
        };
        let mut silent: Vec<_> = self
            .connections
            .iter()
            .filter_map(|(key, entry)| idle(entry).then_some(*key))
            .collect();
        silent.sort_unstable();
        let until = now.saturating_add(patience);
        for key in silent {
            let Some(mut entry) = self.connections.remove(&key) else {
                continue;
            };
            self.let_go(&mut entry, now, until, listener);
            // What it may say yet is of no other connection.
            self.connections.insert(key, entry);
            self.restless.let_go.push_back((until, key));
        }
    }

    /// Tells the end of a connection, if it is open.
    fn let_go(&mut self, entry: &mut Entry, now: u64, until: u64, listener: &mut dyn Listener) {
        if matches!(entry, Entry::Over { .. }) {
            return;
        }
        self.shared.losses.add(LossReason::ConnectionEvicted, 1);
        let mut out = self.shared.output(listener);
        entry.end(now, until, Some(PartialReason::Evicted), &mut out);
    }
}
