//! A connection's place in the table, from its first packet until it is forgotten.

use std::collections::VecDeque;

use tracer_ebpf::{event::Event, flow::FlowKey};

use super::{beginning::Beginning, connection::Connection, output::Output};
use crate::record::PartialReason;

/// How long a connection that has ended is remembered, so that its stragglers open no new one.
pub(super) const LINGER: u64 = 2_000_000_000;

/// Those that time may change.
#[derive(Debug, Default)]
pub(super) struct Restless {
    /// Undecided, or closing; who has come back in the meantime is there twice.
    pub(super) waiting: Vec<FlowKey>,
    /// Over, in the order in which they are forgotten, with the time.
    pub(super) over: VecDeque<(u64, FlowKey)>,
    /// Let go while they may have been alive, and remembered for far longer; the same.
    pub(super) let_go: VecDeque<(u64, FlowKey)>,
}

/// A connection's place in the table.
#[derive(Debug)]
pub(super) enum Entry {
    /// It is open as well, but there is nothing to it yet.
    Beginning(Beginning),
    Open(Box<Connection>),
    /// It ended; forgotten at this time.
    Over {
        born: u64,
        until: u64,
    },
}

impl Restless {
    pub(super) fn are_none(&self) -> bool {
        self.waiting.is_empty() && self.over.is_empty()
    }

    /// Whether there are far more than connections: in a capture that repeats itself at one moment.
    pub(super) fn are_many(&self, connections: usize) -> bool {
        self.waiting.len() + self.over.len() > 4 * connections
    }
}

impl Entry {
    /// When an open connection's first packet passed.
    pub(super) fn started(&self) -> Option<u64> {
        match self {
            Self::Beginning(beginning) => Some(beginning.started()),
            Self::Open(connection) => Some(connection.started),
            Self::Over { .. } => None,
        }
    }

    /// Whether an event is no more than was seen before of a connection that begins.
    pub(super) fn goes_on_beginning(&mut self, event: &Event) -> bool {
        match self {
            Self::Beginning(beginning) => beginning.take(event),
            _ => false,
        }
    }

    /// Makes a whole connection of one that has only begun.
    pub(super) fn grown(&mut self, out: &mut Output<'_>) -> &mut Self {
        if let Self::Beginning(beginning) = self {
            *self = Self::Open(beginning.grow(out));
        }
        self
    }

    /// Ends the connection, if it is open; its stragglers are known until `until`.
    pub(super) fn end(
        &mut self,
        now: u64,
        until: u64,
        reason: Option<PartialReason>,
        out: &mut Output<'_>,
    ) {
        let Self::Open(connection) = self.grown(out) else {
            return;
        };
        let born = connection.born;
        if let Self::Open(connection) = std::mem::replace(self, Self::Over { born, until }) {
            connection.finish(now, reason, out);
        }
    }

    /// Tells an open connection what time it is; whether time may change it further.
    pub(super) fn wait(&mut self, now: u64, out: &mut Output<'_>) -> bool {
        if let Self::Beginning(beginning) = self
            && beginning.is_waited_for(now, out.shared.config.login_patience)
        {
            return true;
        }
        let Self::Open(connection) = self.grown(out) else {
            return true;
        };
        connection.wait(now, out);
        let unseen = connection.ended_unseen(now);
        if unseen || connection.is_over(now) {
            let lost = unseen.then_some(PartialReason::EventsLost);
            self.end(now, now.saturating_add(LINGER), lost, out);
            return false;
        }
        connection.is_listed = connection.is_restless();
        connection.is_listed
    }
}

/// Notes a connection that time may change, and lets go of one that has closed in order.
pub(super) fn settle(entry: &mut Entry, now: u64, restless: &mut Restless, out: &mut Output<'_>) {
    let Entry::Open(connection) = entry else {
        return;
    };
    if !connection.is_listed && connection.is_restless() {
        connection.is_listed = true;
        restless.waiting.push(connection.key);
    }
    if connection.is_closed() || connection.is_unreachable() {
        let until = now.saturating_add(LINGER);
        restless.over.push_back((until, connection.key));
        entry.end(now, until, None, out);
    }
}
