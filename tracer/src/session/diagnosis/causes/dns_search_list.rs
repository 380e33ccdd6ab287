//! A name is looked for under one suffix after the other.

use std::collections::BTreeSet;

use crate::{
    record::{PartOutcome, RecordType, ResolutionOutcome, Whom},
    session::diagnosis::{
        Cause, Found, Page,
        whole::{Whole, span},
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "dns_search_list",
    whom: Some(Whom::Network),
    meaning: "the name was asked for under suffixes that it does not have",
    seen: "{names} names were asked for that do not exist, for {search_ns}",
    fits: |_| None,
    page: Page {
        means: "The resolver tried the server's name with each suffix of its search list before it came to the one \
            that exists. In Kubernetes `ndots:5` makes that of every name with fewer than five dots. Each is a \
            round trip, or two, and each may be lost.",
        signs: "Of an attempt: names that do not exist (`no_such_name`) and that begin alike, before one that does; \
            from the first of them to the last it took a second or longer, and two fifths of the attempt. Told in \
            `attempt` lines only.",
        against: "Names that begin differently: the client has tried several servers.",
        confirm: "On the client's host, or in its pod: `search` and `options ndots` in `/etc/resolv.conf`.",
        mend: "The full name with a dot at its end in the connection string, a smaller `ndots` (`dnsConfig` of the \
            pod), a cache on the host.",
        reports: &["dotnet/SqlClient#3753"],
    },
};

/// How well it fits an attempt.
pub(super) fn fits(whole: &Whole<'_>) -> Option<Found> {
    let missing = PartOutcome::Resolution(ResolutionOutcome::NoSuchName);
    let families = [RecordType::A, RecordType::Aaaa];
    let questions = whole.steps.iter();
    let questions = questions.filter(|step| step.outcome == missing);
    let missed: Vec<_> = questions
        .filter(|step| whole.asks_for(step, &families))
        .collect();
    let names: BTreeSet<_> = missed.iter().filter_map(|step| step.name).collect();
    let hosts: BTreeSet<_> = names.iter().map(|name| name.split('.').next()).collect();
    let took = span(&missed);
    (hosts.len() == 1 && whole.is_felt(took)).then(|| {
        Found::at(0.88)
            .counted("names", names.len() as u32)
            .took("search_ns", took)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::Outcome,
        session::diagnosis::whole::samples::{connection, question, sure, whole},
    };

    #[test]
    fn names_that_do_not_exist_and_begin_alike_are_a_search_list() {
        let missing = |name, (from, to)| {
            question(
                name,
                RecordType::A,
                ResolutionOutcome::NoSuchName,
                (from, to),
            )
        };
        let found = question(
            "sql1.lab",
            RecordType::A,
            ResolutionOutcome::Answered,
            (2, 2),
        );
        let login = connection(2, Outcome::Success, (2, 3));
        let first = missing("sql1.lab.pods.local", (0, 1));
        let second = missing("sql1.lab.local", (1, 2));
        assert!(sure(fits, &whole([first, second, found, login])) > 0.8);
        let other = missing("sql9.lab.local", (1, 2));
        assert!(sure(fits, &whole([first, other, found, login])) < 0.1);
    }
}
