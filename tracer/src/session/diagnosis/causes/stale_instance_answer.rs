//! SQL Browser tells a port at which nobody listens.

use crate::{
    record::{LookupOutcome, PartOutcome, Whom},
    session::diagnosis::{Cause, Found, Page, whole::Whole},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "stale_instance_answer",
    whom: Some(Whom::Database),
    meaning: "the port that SQL Browser told is dead",
    seen: "SQL Browser told the port {announced_port}, and the client did not get in there",
    fits: |_| None,
    page: Page {
        means: "SQL Browser told the client a port for its instance, and there the client was refused or \
            got no answer: the instance has restarted at another port, is stopped, or a firewall lets \
            UDP 1434 through but not that port.",
        signs: "Of an attempt: the lookup was answered, and the first connection to the announced port was \
            refused or never answered. Told in `attempt` lines only.",
        against: "A server whose connections are refused for want of room: others get through meanwhile.",
        confirm: "SQL Server's error log says at which port the instance listens; try the port that the \
            `lookup` line has from the client's host.",
        mend: "Restart SQL Browser where it tells an old port; give the instance a fixed port and open that \
            in the firewall.",
        reports: &[],
    },
};

/// How well it fits an attempt.
pub(super) fn fits(whole: &Whole<'_>) -> Option<Found> {
    let answered = PartOutcome::Lookup(LookupOutcome::Answered);
    let lookup = whole.steps.iter().find(|step| step.outcome == answered)?;
    let mut after = whole.connections();
    let first = after.find(|step| step.start >= lookup.start)?;
    let (_, port) = first.server.filter(|_| first.is_dead())?;
    let confidence = if whole.is_good() { 0.6 } else { 0.97 };
    Some(
        Found::at(confidence)
            .with("announced_port", port)
            .took("lost_ns", first.took),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, PartKind},
        session::diagnosis::whole::{
            Step,
            samples::{connection, sure, whole},
        },
    };

    #[test]
    fn an_announced_port_that_refuses_is_stale_and_one_that_answers_is_not() {
        let lookup = Step {
            kind: PartKind::Lookup,
            outcome: PartOutcome::Lookup(LookupOutcome::Answered),
            ..connection(1, Outcome::Success, (0, 0))
        };
        for outcome in [Outcome::Refused, Outcome::Unreachable] {
            let dead = whole([lookup, connection(1, outcome, (0, 7))]);
            assert!(sure(fits, &dead) > 0.8);
        }
        let slow = whole([lookup, connection(1, Outcome::Success, (0, 7))]);
        assert!(sure(fits, &slow) < 0.1);
    }
}
