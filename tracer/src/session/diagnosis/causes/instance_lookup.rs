//! SQL Browser is slow or silent.

use crate::{
    record::{LookupOutcome, PartKind, PartOutcome, Whom},
    session::diagnosis::{Cause, Found, Page, whole::Whole},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "instance_lookup",
    whom: Some(Whom::Network),
    meaning: "SQL Browser did not tell where the instance listens, or late",
    seen: "SQL Browser was waited for {lookup_ns}[, with the outcome {lookup}]",
    fits: |_| None,
    page: Page {
        means: "A client that connects to a named instance first asks SQL Browser for its port (UDP 1434). \
            No answer came, or it came late. Some drivers wait for it as long as they wait for the \
            login.",
        signs: "Of an attempt: its `lookup` was not answered, or took a second or longer. Told in `attempt` \
            lines only.",
        against: "A connection that goes well at once all the same: the client knew the port.",
        confirm: "On the server's host: is the SQL Server Browser service running, and does the firewall \
            let UDP 1434 in and its answers out. The `lookup` line says who was asked and how often.",
        mend: "Start SQL Browser and open UDP 1434, or give the instance a fixed port and name that in the \
            connection string (`host,port`): then nobody is asked.",
        reports: &["microsoft/go-sqlcmd#247"],
    },
};

/// How well it fits an attempt.
pub(super) fn fits(whole: &Whole<'_>) -> Option<Found> {
    let mut lookups = whole.steps.iter();
    let lookup = lookups.find(|step| step.kind == PartKind::Lookup)?;
    let PartOutcome::Lookup(outcome) = lookup.outcome else {
        return None;
    };
    let confidence = match outcome {
        LookupOutcome::Timeout | LookupOutcome::Unreachable if lookup.decisive => 0.93,
        LookupOutcome::Timeout | LookupOutcome::Unreachable => 0.7,
        LookupOutcome::Answered if whole.is_felt(lookup.took) => 0.85,
        LookupOutcome::Answered if lookup.took >= whole.slow => 0.5,
        LookupOutcome::Answered => return None,
    };
    Some(
        Found::at(confidence)
            .took("lookup_ns", lookup.took)
            .with("lookup", outcome),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::Outcome,
        session::diagnosis::whole::{
            Step,
            samples::{SECOND, connection, sure, whole},
        },
    };

    fn lookup(outcome: LookupOutcome, took: u64) -> Step<'static> {
        Step {
            kind: PartKind::Lookup,
            took,
            outcome: PartOutcome::Lookup(outcome),
            server: None,
            ..connection(1, Outcome::Success, (0, 0))
        }
    }

    #[test]
    fn a_lookup_without_an_answer_and_a_late_one_are_why() {
        let silent = whole([lookup(LookupOutcome::Timeout, 5 * SECOND)]);
        assert!(sure(fits, &silent) > 0.9);
        let login = connection(2, Outcome::Success, (3, 4));
        let late = whole([lookup(LookupOutcome::Answered, 3 * SECOND), login]);
        assert!(sure(fits, &late) > 0.8);
        let slow = connection(2, Outcome::Success, (0, 9));
        let quick = whole([lookup(LookupOutcome::Answered, SECOND / 1000), slow]);
        assert!(sure(fits, &quick) < 0.1);
    }
}
