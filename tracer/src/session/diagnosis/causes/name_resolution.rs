//! A name server is slow, fails, or does not answer.

use super::{dns_search_list, dns_twin_query_lost, reverse_lookup_before_connect};
use crate::{
    record::{PartOutcome, RecordType, ResolutionOutcome, Whom},
    session::diagnosis::{
        Cause, Found, Page,
        whole::{Whole, span},
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "name_resolution",
    whom: Some(Whom::Network),
    meaning: "the server's name was resolved late",
    seen: "name servers were waited for {resolution_ns}[, in {questions} questions][, {unanswered} of them unanswered]",
    fits: |_| None,
    page: Page {
        means: "Before its first packet to SQL Server the client waited for the addresses of the server's \
            name. The name server was slow, was asked again and again, or answered that it could not say.",
        signs: "Of an attempt: from the first question about addresses to the last answer it took a second or \
            longer, and two fifths of the attempt. Told in `attempt` lines only.",
        against: "A lost twin or a search list, which have causes of their own.",
        confirm: "On the client's host: `resolvectl statistics`, `dig +tries=1` at each server in \
            `/etc/resolv.conf`. SQL Server knows nothing of it.",
        mend: "A name server near by that answers, or a cache on the host (systemd-resolved, nscd, NodeLocal \
            DNSCache); servers that are gone removed from `/etc/resolv.conf`.",
        reports: &["dotnet/corefx#32812"],
    },
};

/// How well it fits an attempt.
pub(super) fn fits(whole: &Whole<'_>) -> Option<Found> {
    let asked = |step: &&_| whole.asks_for(step, &[RecordType::A, RecordType::Aaaa]);
    let questions: Vec<_> = whole.steps.iter().filter(asked).collect();
    let took = span(&questions);
    let others = [
        dns_twin_query_lost::fits(whole),
        dns_search_list::fits(whole),
        reverse_lookup_before_connect::fits(whole),
    ];
    if !whole.is_felt(took) || others.iter().any(Option::is_some) {
        return None;
    }
    let silent = PartOutcome::Resolution(ResolutionOutcome::Timeout);
    let unanswered = questions.iter().filter(|step| step.outcome == silent);
    Some(
        Found::at(0.9)
            .took("resolution_ns", took)
            .counted("questions", questions.len() as u32)
            .counted("unanswered", unanswered.count() as u32),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::Outcome,
        session::diagnosis::whole::samples::{connection, question, sure, whole},
    };

    #[test]
    fn a_slow_answer_about_the_servers_addresses_is_why() {
        let slow = ResolutionOutcome::Answered;
        let login = || connection(2, Outcome::Success, (3, 4));
        let asked = question("sql1", RecordType::A, slow, (0, 3));
        assert!(sure(fits, &whole([asked, login()])) > 0.8);
        let quick = question("sql1", RecordType::A, slow, (3, 3));
        assert!(sure(fits, &whole([quick, login()])) < 0.1);
        let slow = connection(2, Outcome::Success, (3, 30));
        assert!(sure(fits, &whole([asked, slow])) < 0.1, "most of it is not");
    }
}
