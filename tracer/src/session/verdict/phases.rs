//! The phases of a login: contiguous, each from the end of the one before it.

use crate::{
    record::PhaseName,
    session::ledger::{Ledger, Row},
};

/// A phase that happened, nanoseconds as in events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Span {
    pub(in crate::session) name: PhaseName,
    pub(in crate::session) from: u64,
    pub(in crate::session) to: u64,
    /// False for the phase in which the login ended, or is.
    pub(in crate::session) complete: bool,
}

/// How far a login has come.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Reached {
    /// When the connection's first packet passed, where that was seen.
    pub(in crate::session) start: Option<u64>,
    /// The phase the login is in.
    pub(in crate::session) phase: PhaseName,
    /// When it was decided, or what time it is.
    pub(in crate::session) at: u64,
    /// Nothing was missed: what was not seen did not happen.
    pub(in crate::session) whole: bool,
    /// An answer has ended that phase.
    pub(in crate::session) answered: bool,
}

/// The phases up to a moment. Of a connection that was joined late only those whose beginning was
/// seen.
pub(in crate::session) fn spans(ledger: &Ledger, reached: Reached) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::with_capacity(PhaseName::LOGIN.len());
    let mut rows: Vec<Row> = ledger.rows().to_vec();
    rows.sort_by_key(|row| row.ends.or(row.begins));
    let mut before = reached.start;
    for row in rows {
        let Some(ends) = row.ends.map(|ends| ends.min(reached.at)) else {
            continue;
        };
        let known = reached.start.is_some() || row.begins.is_some();
        if let Some(from) = before.or(row.begins).filter(|_| known) {
            spans.push(Span {
                name: row.name,
                from: from.min(ends),
                to: ends,
                complete: row.complete,
            });
        }
        before = Some(ends.max(before.unwrap_or(0)));
    }
    if let Some(last) = last(ledger, reached, before, &spans) {
        spans.push(last);
    }
    spans
}

/// The phase in which the login ended, or is.
fn last(ledger: &Ledger, reached: Reached, before: Option<u64>, told: &[Span]) -> Option<Span> {
    let is_told = told.iter().any(|span| span.name == reached.phase);
    let ended_there = told
        .last()
        .is_some_and(|span| span.to == reached.at && span.complete);
    // An answer to the login ends no other phase: what lies between was not seen.
    let is_logins = matches!(reached.phase, PhaseName::Login | PhaseName::Auth);
    if is_told || ended_there || (reached.answered && !is_logins) {
        return None;
    }
    let begins = ledger
        .rows()
        .iter()
        .find(|row| row.name == reached.phase)
        .and_then(|row| row.begins);
    let from = match reached.start {
        Some(_) if begins.is_none() && !reached.whole => return None,
        Some(start) => before.unwrap_or(start),
        None => begins.map(|begins| before.unwrap_or(begins))?,
    };
    Some(Span {
        name: reached.phase,
        from: from.min(reached.at),
        to: reached.at,
        complete: reached.answered,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(start: Option<u64>, phase: PhaseName, at: u64, answered: bool) -> Reached {
        Reached {
            start,
            phase,
            at,
            whole: true,
            answered,
        }
    }

    fn told(ledger: &Ledger, reached: Reached) -> Vec<(PhaseName, u64, u64, bool)> {
        spans(ledger, reached)
            .into_iter()
            .map(|span| (span.name, span.from, span.to, span.complete))
            .collect()
    }

    #[test]
    fn each_phase_starts_where_the_one_before_it_ended() {
        let mut ledger = Ledger::default();
        ledger.begin(PhaseName::Handshake, 100);
        ledger.end(PhaseName::Handshake, 130, true);
        ledger.begin(PhaseName::Prelogin, 150);
        ledger.end(PhaseName::Prelogin, 200, true);
        ledger.begin(PhaseName::Login, 260);
        let at = reached(Some(100), PhaseName::Login, 300, true);
        assert_eq!(
            told(&ledger, at),
            [
                (PhaseName::Handshake, 100, 130, true),
                (PhaseName::Prelogin, 130, 200, true),
                (PhaseName::Login, 200, 300, true),
            ]
        );
    }

    #[test]
    fn a_login_that_ends_early_has_the_phase_it_ended_in() {
        let mut ledger = Ledger::default();
        ledger.begin(PhaseName::Handshake, 100);
        ledger.end(PhaseName::Handshake, 130, true);
        let at = reached(Some(100), PhaseName::Prelogin, 5_000, false);
        assert_eq!(
            told(&ledger, at)[1],
            (PhaseName::Prelogin, 130, 5_000, false)
        );
    }

    #[test]
    fn of_a_connection_joined_late_only_what_was_seen_to_begin_is_told() {
        let mut ledger = Ledger::default();
        ledger.end(PhaseName::Prelogin, 200, true);
        ledger.begin(PhaseName::Tls, 250);
        ledger.end(PhaseName::Tls, 300, true);
        let at = reached(None, PhaseName::Login, 400, true);
        assert_eq!(told(&ledger, at), [(PhaseName::Tls, 200, 300, true)]);
    }
}
