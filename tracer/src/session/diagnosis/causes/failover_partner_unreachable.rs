//! The server's failover partner can not be reached.

use crate::{
    record::Whom,
    session::{
        attempts::Role,
        diagnosis::{
            Cause, Found, Page,
            whole::{Whole, span},
        },
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "failover_partner_unreachable",
    whom: Some(Whom::Network),
    meaning: "the failover partner that the server has told can not be reached",
    seen: "the server was not reached, and neither was {partner}, which it had told for its failover partner",
    fits: |_| None,
    page: Page {
        means: "In an earlier login the server has told the name of its mirroring partner (ENVCHANGE 13). Drivers \
            keep that name, whatever the connection string says, and try the partner where the server does not \
            answer. The name that SQL Server tells is its own, which clients may not resolve or reach.",
        signs: "Of an attempt: a connection to the server came to nothing, the next one went to the name or address \
            that the server had told before, and was refused or not answered. Told in `attempt` lines only.",
        against: "A partner that is down together with the server.",
        confirm: "`sys.database_mirroring` (`mirroring_partner_instance`); resolve and try that name from the \
            client's host. `tds.mirror_partner` of an earlier login is what was told.",
        mend: "Make the partner's name resolve at the clients, open the way to it; where mirroring is not used any \
            more, take it off.",
        reports: &["dotnet/SqlClient#2365", "dotnet/SqlClient#2610"],
    },
};

/// How well it fits an attempt.
pub(super) fn fits(whole: &Whole<'_>) -> Option<Found> {
    let partner = |step: &&crate::session::diagnosis::Step<'_>| step.role == Role::ToPartner;
    let dead: Vec<_> = whole
        .steps
        .iter()
        .filter(partner)
        .filter(|step| step.is_dead())
        .collect();
    let address = dead.first()?.server.map(|(address, _)| address.to_string());
    let lost = span(&dead);
    let confidence = match whole.is_good() {
        false => 0.88,
        true if whole.is_felt(lost) => 0.8,
        true => return None,
    };
    Some(
        Found::at(confidence)
            .with("partner", address)
            .took("lost_ns", lost),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::Outcome,
        session::diagnosis::{
            Step,
            whole::samples::{connection, sure, whole},
        },
    };

    #[test]
    fn a_partner_that_was_told_and_does_not_answer_is_why_the_attempt_failed() {
        let server = connection(2, Outcome::Unreachable, (0, 3));
        let other = connection(3, Outcome::Unreachable, (3, 8));
        assert!(
            sure(fits, &whole([server, other])) < 0.1,
            "nobody has told of it"
        );
        let partner = Step {
            role: Role::ToPartner,
            ..other
        };
        assert!(sure(fits, &whole([server, partner])) > 0.85);
        let there = Step {
            role: Role::ToPartner,
            ..connection(3, Outcome::Success, (3, 4))
        };
        assert!(sure(fits, &whole([server, there])) < 0.1);
    }
}
