//! An attempt as a whole: what none of its connections shows alone.

use std::net::IpAddr;

use crate::{
    record::{Diagnosis, Outcome, PartKind, PartOutcome, RecordType},
    session::attempts::{Done, Role},
};

/// A part of an attempt. Times are nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Step<'a> {
    pub(in crate::session) kind: PartKind,
    /// As in events.
    pub(in crate::session) start: u64,
    pub(in crate::session) took: u64,
    pub(in crate::session) outcome: PartOutcome,
    /// Where a connection went.
    pub(in crate::session) server: Option<(IpAddr, u16)>,
    /// The server has said something.
    pub(in crate::session) heard: bool,
    pub(in crate::session) loser: bool,
    /// What its connection is to the attempt.
    pub(in crate::session) role: Role,
    /// It is the one that decides what came of the attempt.
    pub(in crate::session) decisive: bool,
    /// What was told of its login.
    pub(in crate::session) causes: &'a [Diagnosis],
    /// What a name server was asked about.
    pub(in crate::session) name: Option<&'a str>,
    /// What it was asked for.
    pub(in crate::session) record_type: Option<RecordType>,
    /// How often.
    pub(in crate::session) requests: u32,
    /// The part, as it was told.
    pub(in crate::session) done: Option<&'a Done>,
}

/// An attempt that is over.
#[derive(Clone, Debug)]
pub(in crate::session) struct Whole<'a> {
    pub(in crate::session) outcome: Outcome,
    pub(in crate::session) duration: u64,
    /// Between its parts.
    pub(in crate::session) unexplained: u64,
    /// In the order in which they began.
    pub(in crate::session) steps: Vec<Step<'a>>,
    /// From here on it is slow.
    pub(in crate::session) slow: u64,
}

impl Step<'_> {
    /// Whether it is a connection, or a login on one.
    pub(super) fn is_connection(&self) -> bool {
        matches!(self.kind, PartKind::Connect | PartKind::Login)
    }

    /// Whether it ended so.
    pub(super) fn ended_as(&self, outcomes: &[Outcome]) -> bool {
        matches!(self.outcome, PartOutcome::Login(outcome) if outcomes.contains(&outcome))
    }

    /// Whether nobody listens there, or nothing comes through.
    pub(super) fn is_dead(&self) -> bool {
        self.is_connection() && self.ended_as(&[Outcome::Unreachable, Outcome::Refused])
    }
}

impl Whole<'_> {
    /// Whether it did what its client wanted.
    pub(super) fn is_good(&self) -> bool {
        self.outcome.is_good()
    }

    /// Whether so much of it is a large part of a long time.
    pub(super) fn is_felt(&self, took: u64) -> bool {
        took >= self.slow && took >= self.duration / 5 * 2
    }

    /// Whether a part is a question to a name server for one of these, before any connection.
    pub(super) fn asks_for(&self, step: &Step<'_>, types: &[RecordType]) -> bool {
        let is_one = step.record_type.is_some_and(|of| types.contains(&of));
        let mut connections = self.steps.iter().filter(|step| step.is_connection());
        is_one && connections.all(|connection| connection.start >= step.start)
    }

    /// The connections that did not lose a race, in the order in which they began.
    pub(super) fn connections(&self) -> impl Iterator<Item = &Step<'_>> {
        let connections = self.steps.iter().filter(|step| step.is_connection());
        connections.filter(|step| !step.loser)
    }

    /// The part that decides what came of it.
    pub(super) fn decisive(&self) -> Option<&Step<'_>> {
        self.steps.iter().find(|step| step.decisive)
    }
}

/// From the first of these parts' beginning to the last one's end, nanoseconds.
pub(super) fn span(steps: &[&Step<'_>]) -> u64 {
    let from = steps.iter().map(|step| step.start).min();
    let to = steps.iter().map(|step| step.start + step.took).max();
    to.unwrap_or_default()
        .saturating_sub(from.unwrap_or_default())
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;
    use crate::{record::ResolutionOutcome, session::diagnosis::Found};

    pub(in crate::session::diagnosis) const SECOND: u64 = 1_000_000_000;

    /// A connection to an address that ends so, from one second to another.
    pub(in crate::session::diagnosis) fn connection(
        last: u8,
        outcome: Outcome,
        (start, end): (u64, u64),
    ) -> Step<'static> {
        Step {
            kind: PartKind::Connect,
            start: start * SECOND,
            took: (end - start) * SECOND,
            outcome: PartOutcome::Login(outcome),
            server: Some((IpAddr::from([10, 0, 0, last]), 1433)),
            heard: outcome.is_good(),
            loser: false,
            role: Role::Own,
            decisive: false,
            causes: &[],
            name: None,
            record_type: None,
            requests: 0,
            done: None,
        }
    }

    /// A question to a name server, from one second to another.
    pub(in crate::session::diagnosis) fn question(
        name: &'static str,
        record_type: RecordType,
        outcome: ResolutionOutcome,
        (start, end): (u64, u64),
    ) -> Step<'static> {
        Step {
            kind: PartKind::Dns,
            outcome: PartOutcome::Resolution(outcome),
            server: None,
            heard: outcome != ResolutionOutcome::Timeout,
            name: Some(name),
            record_type: Some(record_type),
            requests: 1,
            ..connection(0, Outcome::Success, (start, end))
        }
    }

    /// An attempt of these parts, decided by the last.
    pub(in crate::session::diagnosis) fn whole<const N: usize>(
        steps: [Step<'static>; N],
    ) -> Whole<'static> {
        let mut steps = Vec::from(steps);
        let last = steps.last_mut().expect("a part");
        last.decisive = true;
        let outcome = match last.outcome {
            PartOutcome::Login(outcome) => outcome,
            PartOutcome::Lookup(_)
            | PartOutcome::Resolution(_)
            | PartOutcome::Service(_)
            | PartOutcome::Untried(_)
            | PartOutcome::Waited(_) => Outcome::Timeout,
        };
        let end = steps.iter().map(|step| step.start + step.took).max();
        Whole {
            outcome,
            duration: end.unwrap_or_default() - steps[0].start,
            unexplained: 0,
            steps,
            slow: SECOND,
        }
    }

    /// How sure a cause is of an attempt; 0 where it does not fit.
    pub(in crate::session::diagnosis) fn sure(
        fits: impl Fn(&Whole<'_>) -> Option<Found>,
        whole: &Whole<'_>,
    ) -> f64 {
        fits(whole).map_or(0.0, |found| found.confidence)
    }
}
