//! A connection's place in the table, from its first packet until it is forgotten.

use tracer_ebpf::{
    event::{Event, Kind},
    flow::FlowKey,
    seq::Seq,
};

use super::syns::Syns;
use crate::{
    record::PartialReason,
    session::{attempts::Handle, connection::Connection, report::Report},
};

/// How long a connection that has ended is remembered, so that its stragglers open no new one.
pub(in crate::session) const LINGER: u64 = 2_000_000_000;

/// A connection's place in the table.
#[derive(Debug)]
pub(in crate::session) enum Slot {
    /// Nothing but SYNs and answers to them were seen.
    Syns(Box<Syns>),
    Open(Box<Connection>),
    /// It has ended, or was let go.
    Over(Box<Over>),
    /// It is another one, which passes here under these addresses too.
    Same(Box<Same>),
}

/// A connection that passes under other addresses too.
#[derive(Debug)]
pub(in crate::session) struct Same {
    /// The addresses that it is told by.
    pub(super) key: FlowKey,
    /// The kernel's name for it under the others.
    pub(super) born: u64,
    /// When is looked whether it is still there.
    pub(super) until: u64,
}

/// A connection that has ended.
#[derive(Debug)]
pub(in crate::session) struct Over {
    /// The kernel's name for it.
    pub(super) born: u64,
    /// Forgotten at this time.
    pub(super) until: u64,
}

impl Slot {
    /// When an open connection's first packet passed.
    pub(in crate::session) fn started(&self) -> Option<u64> {
        match self {
            Self::Syns(syns) => Some(syns.started()),
            Self::Open(connection) => Some(connection.wire.started),
            Self::Over(_) | Self::Same(_) => None,
        }
    }

    /// Whether an open connection is seen at interfaces beside sockets.
    pub(super) fn is_beside(&self) -> Option<bool> {
        match self {
            Self::Syns(syns) => Some(syns.is_beside()),
            Self::Open(connection) => Some(connection.wire.is_beside),
            Self::Over(_) | Self::Same(_) => None,
        }
    }

    /// The client's initial sequence number, of an open connection.
    pub(super) fn client_isn(&self) -> Option<Seq> {
        match self {
            Self::Syns(syns) => Some(syns.client_isn()),
            Self::Open(connection) => Some(connection.wire.sent[0].isn),
            Self::Over(_) | Self::Same(_) => None,
        }
    }

    /// Whether it is a connection that goes on.
    pub(in crate::session) const fn is_open(&self) -> bool {
        matches!(self, Self::Syns(_) | Self::Open(_))
    }

    /// Whether nothing but a handshake was seen of it, all of which passes once more where its addresses
    /// are rewritten.
    pub(in crate::session) fn has_only_shaken_hands(&self) -> bool {
        match self {
            Self::Syns(_) => true,
            Self::Open(connection) => {
                let [client, server] = &connection.wire.sent;
                connection.is_undecided() && client.bytes | server.bytes == 0
            }
            Self::Over(_) | Self::Same(_) => false,
        }
    }

    /// Whether the clock hand may take it: nothing happened since it last passed.
    pub(in crate::session) fn was_idle(&mut self) -> bool {
        match self {
            Self::Syns(syns) => !std::mem::take(&mut syns.touched),
            Self::Open(connection) => !std::mem::take(&mut connection.touched),
            Self::Over(_) | Self::Same(_) => true,
        }
    }

    /// Takes an event of a connection that has only begun, unless there is more to it than a SYN or
    /// an answer to one.
    pub(in crate::session) fn takes_syn(&mut self, event: &Event) -> bool {
        match self {
            Self::Syns(syns) => syns.take(event),
            _ => false,
        }
    }

    /// How the attempt that it is part of knows it.
    pub(in crate::session) fn attempt(&self) -> Handle {
        match self {
            Self::Syns(syns) => syns.attempt,
            Self::Open(connection) => connection.attempt(),
            Self::Over(_) | Self::Same(_) => 0,
        }
    }

    /// Makes a whole connection of one that has only begun.
    pub(in crate::session) fn grown(&mut self, report: &mut Report<'_>) -> &mut Self {
        if let Self::Syns(syns) = self {
            *self = Self::Open(syns.grow(report));
        }
        self
    }

    /// Ends the connection, if it is open; its stragglers are known until `until`.
    pub(in crate::session) fn end(
        &mut self,
        now: u64,
        until: u64,
        reason: Option<PartialReason>,
        report: &mut Report<'_>,
    ) {
        let Self::Open(connection) = self.grown(report) else {
            return;
        };
        let born = connection.wire.born();
        let over = Self::Over(Box::new(Over { born, until }));
        if let Self::Open(connection) = std::mem::replace(self, over) {
            connection.finish(now, reason, report);
        }
    }

    /// Tells an open connection what time it is.
    pub(in crate::session) fn wait(&mut self, now: u64, report: &mut Report<'_>) {
        if let Self::Syns(syns) = self
            && syns.due() > now
        {
            return;
        }
        let Self::Open(connection) = self.grown(report) else {
            return;
        };
        connection.wait(now, report);
        let unseen = connection.ended_unseen(now);
        if unseen || connection.is_over(now) {
            let lost = unseen.then_some(PartialReason::EventsLost);
            self.end(now, now.saturating_add(LINGER), lost, report);
        }
    }

    /// When time changes it next, or it is forgotten.
    pub(in crate::session) fn due(&self, report: &Report<'_>) -> Option<u64> {
        match self {
            Self::Syns(syns) => Some(syns.due()),
            Self::Open(connection) => connection.due(report),
            Self::Over(over) => Some(over.until),
            Self::Same(same) => Some(same.until),
        }
    }

    /// For when time is looked at; the earliest counts.
    pub(in crate::session) fn scheduled(&mut self) -> Option<&mut u64> {
        match self {
            Self::Syns(syns) => Some(&mut syns.scheduled),
            Self::Open(connection) => Some(&mut connection.scheduled),
            Self::Over(_) | Self::Same(_) => None,
        }
    }
}

/// Whether an event is a side's last word.
pub(in crate::session) const fn is_end(event: &Event) -> bool {
    event.kind == Kind::Fin as u8 || event.kind == Kind::Rst as u8
}
