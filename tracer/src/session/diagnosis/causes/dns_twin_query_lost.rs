//! Of two questions about a name, one for each family, one is lost.

use crate::{
    record::{RecordType, Whom},
    session::diagnosis::{
        Cause, Found, Page,
        whole::{Step, Whole},
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "dns_twin_query_lost",
    whom: Some(Whom::Network),
    meaning: "of the questions for IPv4 and IPv6 addresses one was lost, and asked again after seconds",
    seen: "the question for {record_type} was waited for {resolution_ns}, while its twin was answered in {twin_ns}[, \
        and was asked {requests} times]",
    fits: |_| None,
    page: Page {
        means: "A resolver asks for the IPv4 and the IPv6 addresses of a name at the same time, mostly from one \
            port. One answer came at once, the other not: connection tracking or a firewall drops one of two \
            packets of the same flow, or a name server answers one of two only. The resolver asks again after \
            its timeout, usually five seconds.",
        signs: "Of an attempt: A and AAAA were asked of one name; one was answered within a fifth of the time of the \
            other, which took a second or longer and was asked again, or never answered. Told in `attempt` lines only.",
        against: "Both questions that took as long: the name server is slow.",
        confirm: "On the client's host: a capture of port 53 shows two questions of one port and one answer; \
            `conntrack -S` counts `insert_failed`.",
        mend: "`options single-request-reopen` or `use-vc` in `/etc/resolv.conf`, a cache on the host, a kernel in which \
            the race of connection tracking is mended (5.0 and later), or a name server that answers both.",
        reports: &[
            "dotnet/SqlClient#3753",
            "dotnet/SqlClient#2221",
            "kubernetes/kubernetes#56903",
        ],
    },
};

/// How well it fits an attempt.
pub(super) fn fits(whole: &Whole<'_>) -> Option<Found> {
    let families = [RecordType::A, RecordType::Aaaa];
    let asked = |step: &&Step<'_>| whole.asks_for(step, &families);
    let mut late = whole.steps.iter().filter(asked);
    late.find_map(|late| {
        let mut others = whole.steps.iter().filter(asked);
        let twin = others.find(|twin| {
            twin.name == late.name
                && twin.record_type != late.record_type
                && twin.start.abs_diff(late.start) < late.took / 5
        })?;
        let again = late.requests > 1 || !late.heard;
        let lost = again && twin.heard && twin.took < late.took / 5;
        (lost && whole.is_felt(late.took)).then(|| {
            Found::at(0.92)
                .took("resolution_ns", late.took)
                .with("record_type", late.record_type)
                .took("twin_ns", twin.took)
                .counted("requests", late.requests)
        })
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
    fn a_question_whose_twin_was_answered_at_once_was_lost() {
        let login = || connection(2, Outcome::Success, (5, 6));
        let answered = ResolutionOutcome::Answered;
        let quick = question("sql1", RecordType::A, answered, (0, 0));
        let again = Step {
            requests: 2,
            ..question("sql1", RecordType::Aaaa, ResolutionOutcome::NoData, (0, 5))
        };
        assert!(sure(fits, &whole([quick, again, login()])) > 0.9);
        let slow = question("sql1", RecordType::A, answered, (0, 5));
        assert!(sure(fits, &whole([slow, again, login()])) < 0.1);
        let other = question("sql2", RecordType::A, answered, (0, 0));
        assert!(sure(fits, &whole([other, again, login()])) < 0.1);
    }
}
