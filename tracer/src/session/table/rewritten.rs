//! Connections whose addresses a host rewrites on their way: what passes under others is told once.

use tracer_ebpf::{
    event::{Event, Kind, Translated, mark},
    flow::FlowKey,
    packet::tcp_flag,
    patience::HALF_OPEN,
};

use super::{
    Table,
    slot::{LINGER, Same, Slot},
};
use crate::session::{Decided, connection::Connection, report::Report, wire::Identity};

/// How often is looked whether a connection is still there that passes under other addresses too.
const SAME_PATIENCE: u64 = HALF_OPEN;
/// How often the addresses of one connection may be rewritten on one host.
const MAX_REWRITTEN: usize = 4;
/// Translations kept until the first packet of their connection.
const MOST_TRANSLATED: usize = 1024;

/// The packets' addresses.
fn other(translated: &Translated) -> Identity {
    Identity::of(&translated.other, translated.client_is_a != 0)
}

impl Table {
    /// The connection whose SYN this is too, if it has just passed under other addresses: nothing but
    /// that was seen of it.
    pub(super) fn passed_before(&mut self, event: &Event) -> Option<FlowKey> {
        let late = event.marks & mark::JOINED_LATE != 0;
        if event.kind != Kind::Syn as u8 || event.tcp_flags & tcp_flag::ACK != 0 || late {
            return None;
        }
        let before = self.openings.opens(event)?;
        let before = self.told_by(before);
        let slot = self.slots.get(&before)?;
        (before != event.key && slot.has_only_shaken_hands()).then_some(before)
    }

    /// Whether a socket on this host has a connection's addresses, and not those of an event: the client's,
    /// or any where the event is seen beside sockets. If not, the last ones are nearest to the server's.
    pub(super) fn is_nearer(&self, key: &FlowKey, event: &Event) -> bool {
        let slot = self.slots.get(key);
        let is_clients =
            matches!(slot, Some(Slot::Open(connection)) if connection.about.is_clients);
        is_clients || event.is_beside() && slot.and_then(Slot::is_beside) == Some(false)
    }

    /// A connection passes under other addresses too.
    pub(super) fn pass_on(&mut self, key: FlowKey, event: &Event, report: &mut Report<'_>) {
        let slot = self.slots.get_mut(&key);
        if let Some(Slot::Open(connection)) = slot.map(|slot| slot.grown(report)) {
            let client_is_a = event.client_is_a != 0;
            connection
                .wire
                .passes_as(Identity::of(&event.key, client_is_a));
        }
        self.is_same(event.key, event.born, key, report);
        for owner in self.owners.take(&event.key) {
            self.owner(owner, report);
        }
    }

    /// A connection that opens is one that has passed before, and is told by the addresses it has now.
    pub(super) fn replace(&mut self, key: FlowKey, by: &mut Connection, report: &mut Report<'_>) {
        let Some((before, born)) = self.step_aside(key, report) else {
            return;
        };
        by.wire.passed_as(&before.wire);
        if key != by.wire.key {
            self.is_same(key, born, by.wire.key, report);
        }
    }

    /// A connection is told by others from now on; with the kernel's name for it.
    pub(super) fn step_aside(
        &mut self,
        key: FlowKey,
        report: &mut Report<'_>,
    ) -> Option<(Box<Connection>, u64)> {
        let (mut before, born) = match self.slots.swap_remove(&key)? {
            Slot::Syns(syns) => (syns.grow(report), syns.started()),
            Slot::Open(connection) => {
                let born = connection.wire.born();
                (connection, born)
            }
            Slot::Over(_) | Slot::Same(_) => return None,
        };
        before.steps_aside(report);
        report.shared.standing.joins();
        Some((before, born))
    }

    /// A connection's packets have other addresses than its socket; it may be before the first of them is
    /// told.
    pub(in crate::session) fn translated(
        &mut self,
        translated: Translated,
        report: &mut Report<'_>,
    ) {
        self.withdraw(&translated, report);
        if translated.key == translated.other {
            return;
        }
        let key = self.told_by(translated.key);
        match self.slots.get_mut(&key) {
            Some(Slot::Open(connection)) if connection.is_untold() => {
                connection.wire.passes_as(other(&translated));
            }
            Some(Slot::Open(connection)) => connection.wire.has_also(other(&translated)),
            _ if self.translated.len() < MOST_TRANSLATED => {
                self.translated.insert(key, translated);
            }
            _ => {}
        }
    }

    /// Other addresses of a connection that begins, where they were known before.
    pub(super) fn translation(&mut self, key: &FlowKey) -> Option<Identity> {
        self.translated.remove(key).as_ref().map(other)
    }

    /// Forgets translations of which no connection came.
    pub(super) fn forget_translated(&mut self, now: u64) {
        self.translated
            .retain(|_, translated| translated.time.saturating_add(LINGER) > now);
    }

    /// What passes under these addresses is told by others.
    pub(super) fn is_same(
        &mut self,
        key: FlowKey,
        born: u64,
        told_by: FlowKey,
        report: &mut Report<'_>,
    ) {
        // No byte of it is needed twice.
        report.decided(Decided {
            key,
            born,
            without_sessions: false,
        });
        let until = born.saturating_add(SAME_PATIENCE);
        let same = Same {
            key: told_by,
            born,
            until,
        };
        self.insert(key, Slot::Same(Box::new(same)));
        self.timers.add(until, key);
    }

    /// The addresses that a connection is told by.
    pub(super) fn told_by(&self, key: FlowKey) -> FlowKey {
        let mut told_by = key;
        for _ in 0..MAX_REWRITTEN {
            match self.slots.get(&told_by) {
                Some(Slot::Same(same)) => told_by = same.key,
                _ => break,
            }
        }
        told_by
    }

    /// Forgets other addresses of a connection that has ended.
    pub(super) fn look_after_same(&mut self, key: FlowKey, now: u64) {
        let told_by = self.told_by(key);
        let lives = self.slots.get(&told_by).is_some_and(Slot::is_open);
        if !lives {
            self.slots.swap_remove(&key);
        } else if let Some(Slot::Same(same)) = self.slots.get_mut(&key) {
            same.until = now.saturating_add(SAME_PATIENCE);
            self.timers.add(same.until, key);
        }
    }
}
