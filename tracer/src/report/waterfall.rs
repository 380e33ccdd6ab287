//! When what happened within an attempt, and who was waited for.

use serde::Serialize;

use super::{
    line::{Attempt, Facts, Phase},
    slow_ones::in_order,
    text::{shown, words},
};

/// Rows at most.
const ROWS: usize = 24;

/// See the module.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Waterfall {
    pub(crate) rows: Vec<Bar>,
    /// From the first row's start to the last one's end, nanoseconds.
    pub(crate) whole_ns: u64,
    /// Rows that are not shown.
    pub(crate) more: usize,
}

/// A row.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Bar {
    pub(crate) name: String,
    /// From the attempt's start, nanoseconds.
    pub(crate) start_ns: u64,
    pub(crate) duration_ns: u64,
    /// How long the client, the network and the server were waited for, nanoseconds; in no order.
    pub(crate) waited_ns: Option<[u64; 3]>,
    pub(crate) outcome: String,
    /// Part of the row above.
    pub(crate) inner: bool,
}

impl Waterfall {
    /// Of a login, with what else its attempt consists of.
    pub(crate) fn new(facts: &Facts, attempt: Option<&Attempt>) -> Self {
        let id = facts
            .connection
            .as_ref()
            .map(|connection| connection.id.as_str());
        let parts = attempt
            .map(|attempt| attempt.parts.as_slice())
            .unwrap_or_default();
        let mut rows = Vec::new();
        let mut own_is_there = false;
        for part in parts {
            let is_own = part.connection_id.is_some() && part.connection_id.as_deref() == id;
            own_is_there |= is_own;
            let kind = words(&part.kind);
            rows.push(Bar {
                name: match &part.name {
                    Some(name) if !is_own => format!("{kind} {}", shown(name)),
                    _ => kind,
                },
                start_ns: part.start_ns,
                duration_ns: part.duration_ns,
                waited_ns: None,
                outcome: part.outcome.as_deref().map(words).unwrap_or_default(),
                inner: false,
            });
            if is_own {
                rows.extend(phases(facts, part.start_ns, true));
            }
        }
        if !own_is_there {
            let begins = attempt
                .and_then(|attempt| attempt.start)
                .zip(facts.connection.as_ref());
            let offset = begins.map_or(0, |(start, connection)| {
                connection.start.0.saturating_sub(start.0)
            });
            rows.extend(phases(facts, offset.max(0).unsigned_abs(), false));
        }
        let more = rows.len().saturating_sub(ROWS);
        rows.truncate(ROWS);
        let ends = rows
            .iter()
            .map(|row| row.start_ns.saturating_add(row.duration_ns));
        Self {
            whole_ns: ends.max().unwrap_or_default(),
            rows,
            more,
        }
    }
}

fn phases(facts: &Facts, offset: u64, inner: bool) -> Vec<Bar> {
    let of_login = |name: &str| !["mars", "command", "close"].contains(&name);
    let phases = in_order(facts)
        .into_iter()
        .filter(|(name, _)| of_login(name));
    phases
        .map(|(name, phase)| Bar {
            name: words(name),
            start_ns: offset.saturating_add(phase.start_ns),
            duration_ns: phase.duration_ns,
            waited_ns: waited(phase),
            outcome: String::new(),
            inner,
        })
        .collect()
}

fn waited(phase: &Phase) -> Option<[u64; 3]> {
    let parts = [phase.client_ns, phase.network_ns, phase.server_ns];
    parts
        .iter()
        .any(Option::is_some)
        .then(|| parts.map(Option::unwrap_or_default))
}
