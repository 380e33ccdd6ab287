//! When time is to be looked at, and for whom.

use std::{cmp::Reverse, collections::BinaryHeap};

use tracer_ebpf::flow::FlowKey;

use super::slot::{LINGER, Slot};
use crate::session::report::Report;

/// Room for as many is not given back.
const FEWEST: usize = 64;

/// Moments at which time may change a connection, the next one first. One that has come to nothing
/// in the meantime is passed over when it comes.
#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(u64, FlowKey)>>);

impl Timers {
    /// Looks at a connection at this moment.
    pub(super) fn add(&mut self, at: u64, key: FlowKey) {
        self.0.push(Reverse((at, key)));
    }

    /// Looks at what is known of a connection when time changes it next.
    pub(super) fn schedule(&mut self, slot: &mut Slot, key: FlowKey, report: &Report<'_>) {
        let Some(due) = slot.due(report) else { return };
        match slot.scheduled() {
            Some(scheduled) if due < *scheduled => {
                *scheduled = due;
                self.add(due, key);
            }
            Some(_) => {}
            None => self.add(due, key),
        }
    }

    /// Ends a connection of which nothing is to come, or looks at it when time changes it next.
    pub(super) fn settle(
        &mut self,
        slot: &mut Slot,
        key: FlowKey,
        now: u64,
        report: &mut Report<'_>,
    ) {
        if let Slot::Open(connection) = slot
            && (connection.is_closed() || connection.is_unreachable())
        {
            let until = now.saturating_add(LINGER);
            slot.end(now, until, None, report);
            self.add(until, key);
            return;
        }
        self.schedule(slot, key, report);
    }

    /// The next moment up to `now`.
    pub(super) fn next_up_to(&mut self, now: u64) -> Option<(u64, FlowKey)> {
        let Reverse((at, _)) = self.0.peek()?;
        if *at > now {
            return None;
        }
        let Reverse(next) = self.0.pop()?;
        if self.0.capacity() > FEWEST && self.0.len() < self.0.capacity() / 4 {
            self.0.shrink_to(self.0.capacity() / 2);
        }
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_come_in_the_order_of_time_and_not_before() {
        let mut timers = Timers::default();
        for at in [30, 10, 20] {
            timers.add(at, FlowKey::default());
        }
        let mut come = |now| timers.next_up_to(now).map(|(at, _)| at);
        assert_eq!(come(9), None);
        assert_eq!([come(25), come(25), come(25)], [Some(10), Some(20), None]);
    }
}
