//! Records that wait while the agent is busy with something else than them: what it looks through once, at its start.

use std::collections::VecDeque;

/// Bytes that may wait. What is more stays in the ring buffer, and is counted where that is full.
const MOST: usize = 32 << 20;

/// Records as the programs wrote them, first come first.
#[derive(Debug, Default)]
pub(super) struct Held {
    records: VecDeque<Box<[u8]>>,
    bytes: usize,
}

impl Held {
    /// Whether another one may come.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < MOST
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub(super) fn keep(&mut self, record: &[u8]) {
        self.bytes += record.len();
        self.records.push_back(record.into());
    }

    /// The one that came first.
    pub(super) fn next(&mut self) -> Option<Box<[u8]>> {
        let Some(record) = self.records.pop_front() else {
            // The room that it took is given back.
            self.records = VecDeque::new();
            return None;
        };
        self.bytes -= record.len();
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_in_order_and_not_without_bound() {
        let mut held = Held::default();
        assert!(held.is_empty());
        held.keep(b"one");
        held.keep(b"three");
        assert!(!held.is_empty());
        assert_eq!(held.next().as_deref(), Some(&b"one"[..]));
        held.keep(&vec![0; MOST]);
        assert!(!held.has_room());
        assert_eq!(held.next().as_deref(), Some(&b"three"[..]));
        assert!(held.next().is_some_and(|record| record.len() == MOST));
        assert!(held.has_room());
        assert_eq!(held.next(), None);
    }
}
