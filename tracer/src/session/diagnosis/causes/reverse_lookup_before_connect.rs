//! The name of an address is asked for before anybody connects to it.

use crate::{
    record::{RecordType, Whom},
    session::diagnosis::{
        Cause, Found, Page,
        whole::{Whole, span},
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "reverse_lookup_before_connect",
    whom: Some(Whom::Network),
    meaning: "the client asked for the name of the server's address, and waited for that",
    seen: "the name of an address was waited for {reverse_ns}[, in {requests} questions]",
    fits: |_| None,
    page: Page {
        means: "Some drivers ask for the name of the server's address before they connect, to make the name by which \
            Kerberos knows the service (SPN); SqlClient 6.1 does so with SQL authentication too. Where nobody answers \
            questions about that address, each login waits for the resolver's timeout.",
        signs: "Of an attempt: a question for the name of an address (PTR) took a second or longer, or was not answered \
            for so long, and that is two fifths of the attempt or more. Told in `attempt` lines only.",
        against: "A connection that was already under way meanwhile.",
        confirm: "On the client's host: `dig -x ADDRESS` takes as long.",
        mend: "A reverse zone that answers, if only that there is no such name; the SPN given in the connection string \
            (`ServerSPN`); a driver that asks no more.",
        reports: &[
            "dotnet/SqlClient#3523",
            "dotnet/SqlClient#3812",
            "dotnet/SqlClient#3929",
        ],
    },
};

/// How well it fits an attempt.
pub(super) fn fits(whole: &Whole<'_>) -> Option<Found> {
    let questions: Vec<_> = whole
        .steps
        .iter()
        .filter(|step| whole.asks_for(step, &[RecordType::Ptr]))
        .collect();
    let took = span(&questions);
    let requests = questions.iter().map(|step| step.requests).sum();
    whole.is_felt(took).then(|| {
        Found::at(0.92)
            .took("reverse_ns", took)
            .counted("requests", requests)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, ResolutionOutcome},
        session::diagnosis::whole::samples::{connection, question, sure, whole},
    };

    #[test]
    fn a_reverse_lookup_without_an_answer_is_why() {
        let silent = question(
            "2.0.0.10.in-addr.arpa",
            RecordType::Ptr,
            ResolutionOutcome::Timeout,
            (0, 5),
        );
        let login = connection(2, Outcome::Success, (5, 6));
        assert!(sure(fits, &whole([silent, login])) > 0.9);
        let quick = question(
            "2.0.0.10.in-addr.arpa",
            RecordType::Ptr,
            ResolutionOutcome::NoSuchName,
            (0, 0),
        );
        let slow = connection(2, Outcome::Success, (0, 6));
        assert!(sure(fits, &whole([quick, slow])) < 0.1);
    }
}
