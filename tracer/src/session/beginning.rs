//! A connection of which only SYNs were seen, and answers to them.
//!
//! A flood of SYNs is many of those, and all that a login may need takes twenty times as much memory.
//! So its events are kept as they came until there is more to it.

use tracer_ebpf::event::{Direction, Event, Kind, mark};

use super::{
    Checksum,
    connection::{Connection, LEAST_PATIENCE},
    output::Output,
};

/// Events kept: what repeats itself for longer is kept as any other.
const MAX_EVENTS: usize = 4;

#[derive(Debug)]
pub(super) struct Beginning {
    /// Never none.
    events: Vec<Event>,
    /// Packets of each direction whose checksum was right, and unfinished.
    checksums: [(u8, u8); 2],
}

impl Beginning {
    /// The connection that an event opens, where it is a SYN and nothing was missed before it.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let first = event.number == 1 && event.marks & mark::JOINED_LATE == 0;
        let syn = Kind::of(event.kind) == Some(Kind::Syn);
        (first && syn).then(|| Self {
            events: vec![*event],
            checksums: Default::default(),
        })
    }

    pub(super) fn started(&self) -> u64 {
        self.events[0].born
    }

    pub(super) fn last_seen(&self) -> u64 {
        self.events
            .iter()
            .map(|event| event.time)
            .max()
            .unwrap_or(0)
    }

    /// Takes an event in, unless there is more to it than to those before.
    pub(super) fn take(&mut self, event: &Event) -> bool {
        let mut events = self.events.iter().rev();
        let last = events.find(|other| other.direction == event.direction);
        let next = last.map_or(0, |last| last.number).wrapping_add(1);
        let alike = event.born == self.started()
            && event.number == next
            && event.marks & mark::JOINED_LATE == 0
            && matches!(Kind::of(event.kind), Some(Kind::Syn | Kind::SynAck));
        let kept = alike && self.events.len() < MAX_EVENTS;
        if kept {
            self.events.reserve_exact(1);
            self.events.push(*event);
        }
        kept
    }

    /// A packet's checksum was looked at.
    pub(super) fn checksum(&mut self, direction: Direction, checksum: Checksum) {
        let (rights, unfinished) = &mut self.checksums[direction as usize];
        let count = match checksum {
            Checksum::Right => rights,
            Checksum::Unfinished => unfinished,
            Checksum::Wrong => return,
        };
        *count = count.saturating_add(1);
    }

    /// Whether it is too early for time to change anything.
    pub(super) fn is_waited_for(&self, now: u64, login_patience: u64) -> bool {
        let mut events = self.events.iter();
        let answered = events.any(|event| event.kind == Kind::SynAck as u8);
        let patience = if answered {
            login_patience
        } else {
            LEAST_PATIENCE
        };
        now.saturating_sub(self.last_seen()) <= patience
    }

    /// The connection, as if it had been one from its first event on.
    pub(super) fn grow(&self, out: &mut Output<'_>) -> Box<Connection> {
        let mut connection = Box::new(Connection::new(&self.events[0], &out.shared.config));
        for event in &self.events {
            connection.take(event, &[], out);
        }
        let directions = [Direction::ToServer, Direction::ToClient];
        for (direction, (rights, unfinished)) in directions.into_iter().zip(self.checksums) {
            (0..rights).for_each(|_| connection.checksum(direction, Checksum::Right));
            (0..unfinished).for_each(|_| connection.checksum(direction, Checksum::Unfinished));
        }
        connection.is_listed = true;
        connection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_only_begun_takes_a_quarter_of_a_kilobyte() {
        let event = Event {
            kind: Kind::Syn as u8,
            number: 1,
            ..Event::default()
        };
        let beginning = Beginning::of(&event).expect("a SYN");
        let kept = beginning.events.capacity() * size_of::<Event>();
        assert!(size_of::<Beginning>() + kept <= 256);
    }
}
