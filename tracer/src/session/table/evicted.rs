//! Connections that had to give way while they were alive: what they say yet is of no new one.

use std::collections::VecDeque;

use foldhash::HashMap;
use tracer_ebpf::{
    event::{Event, mark},
    flow::FlowKey,
};

/// As many are remembered as this many tables hold; the oldest are forgotten first.
const TABLES: usize = 4;

/// The connections, each with the kernel's name for its use of the key.
#[derive(Debug, Default)]
pub(super) struct Evicted {
    born: HashMap<FlowKey, u64>,
    order: VecDeque<FlowKey>,
}

impl Evicted {
    /// Remembers a connection, one of at most so many in the table.
    pub(super) fn remember(&mut self, key: FlowKey, born: u64, table: usize) {
        if self.born.insert(key, born).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > TABLES.saturating_mul(table) {
            let oldest = self.order.pop_front();
            oldest.map(|key| self.born.remove(&key));
        }
    }

    /// Whether an event is of one of them. A new connection of the same ends is another one.
    pub(super) fn covers(&mut self, event: &Event) -> bool {
        let Some(born) = self.born.get(&event.key) else {
            return false;
        };
        let is_same = *born == event.born || event.marks & mark::JOINED_LATE != 0;
        if !is_same {
            self.born.remove(&event.key);
            self.order.retain(|key| *key != event.key);
        }
        is_same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_evicted_connection_says_is_its_own_until_the_port_is_used_again() {
        let mut evicted = Evicted::default();
        let mut event = Event {
            born: 7,
            ..Event::default()
        };
        assert!(!evicted.covers(&event));
        evicted.remember(event.key, 7, 1);
        assert!(evicted.covers(&event));
        event.born = 9;
        assert!(!evicted.covers(&event), "a SYN of another connection");
        event.born = 7;
        assert!(!evicted.covers(&event));
    }

    #[test]
    fn no_more_are_remembered_than_four_tables_hold() {
        let mut evicted = Evicted::default();
        for port in 0..100 {
            let key = FlowKey {
                b_port: port,
                ..FlowKey::default()
            };
            evicted.remember(key, 1, 2);
        }
        assert_eq!((evicted.born.len(), evicted.order.len()), (8, 8));
    }
}
