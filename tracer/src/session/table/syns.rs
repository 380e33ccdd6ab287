//! A connection of which only SYNs were seen, and answers to them.
//!
//! A flood of SYNs is many of those, and all that a login may need takes twenty times as much memory.
//! So its events are kept as they came until there is more to it.

use tracer_ebpf::{
    event::{Direction, Event, Kind, mark},
    seq::Seq,
};

use crate::session::{
    attempts::Handle,
    connection::Connection,
    input::Checksum,
    report::Report,
    wire::{ACK_PATIENCE, LEAST_SYN_PATIENCE},
};

/// Events kept: what repeats itself for longer is kept as any other.
const MAX_EVENTS: usize = 4;

#[derive(Debug)]
pub(in crate::session) struct Syns {
    /// Never none.
    events: Vec<Event>,
    /// Packets of each direction whose checksum was right, and unfinished.
    checksums: [(u8, u8); 2],
    pub(super) scheduled: u64,
    /// How the attempt that it is part of knows it.
    pub(super) attempt: Handle,
    pub(super) touched: bool,
}

impl Syns {
    /// The connection that an event opens, where it is a SYN without data and nothing was missed
    /// before it.
    pub(in crate::session) fn of(event: &Event) -> Option<Self> {
        let first = event.number == 1 && event.marks & mark::JOINED_LATE == 0;
        let syn = Kind::of(event.kind) == Some(Kind::Syn);
        (first && syn).then(|| Self {
            events: vec![*event],
            checksums: Default::default(),
            scheduled: u64::MAX,
            attempt: 0,
            touched: true,
        })
    }

    pub(super) fn started(&self) -> u64 {
        self.events[0].born
    }

    pub(super) fn is_beside(&self) -> bool {
        self.events[0].is_beside()
    }

    pub(super) fn client_isn(&self) -> Seq {
        self.events[0].client.isn
    }

    fn last_seen(&self) -> u64 {
        let times = self.events.iter().map(|event| event.time);
        times.max().unwrap_or(0)
    }

    /// Takes an event in, unless there is more to it than to those before.
    pub(super) fn take(&mut self, event: &Event) -> bool {
        self.touched = true;
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
    pub(in crate::session) fn checksum(&mut self, direction: Direction, checksum: Checksum) {
        let (rights, unfinished) = &mut self.checksums[direction as usize];
        let count = match checksum {
            Checksum::Right => rights,
            Checksum::Unfinished => unfinished,
            Checksum::Wrong => return,
        };
        *count = count.saturating_add(1);
    }

    /// Whether there was an answer.
    pub(super) fn was_answered(&self) -> bool {
        let mut events = self.events.iter();
        events.any(|event| event.kind == Kind::SynAck as u8)
    }

    /// When it is too late for anything to come.
    pub(super) fn due(&self) -> u64 {
        let patience = if self.was_answered() {
            ACK_PATIENCE
        } else {
            LEAST_SYN_PATIENCE
        };
        self.last_seen().saturating_add(patience + 1)
    }

    /// The connection, as if it had been one from its first event on.
    pub(super) fn grow(&self, report: &mut Report<'_>) -> Box<Connection> {
        let mut connection = Box::new(Connection::new(&self.events[0]));
        connection.scheduled = self.scheduled;
        connection.is_part_of(self.attempt);
        for event in &self.events {
            connection.take(event, &[], report);
        }
        let directions = [Direction::ToServer, Direction::ToClient];
        for (direction, (rights, unfinished)) in directions.into_iter().zip(self.checksums) {
            let evidence = &mut connection.wire.evidence;
            (0..rights).for_each(|_| evidence.checksum(direction, Checksum::Right));
            (0..unfinished).for_each(|_| evidence.checksum(direction, Checksum::Unfinished));
        }
        connection
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_only_begun_takes_little_more_than_a_quarter_of_a_kilobyte() {
        let event = Event {
            kind: Kind::Syn as u8,
            number: 1,
            ..Event::default()
        };
        let syns = Syns::of(&event).expect("a SYN");
        let kept = syns.events.capacity() * size_of::<Event>();
        assert!(size_of::<Syns>() + kept <= 280);
    }
}
