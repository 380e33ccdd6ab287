//! A watched process sends nothing to SQL Server.

use crate::{
    record::Whom,
    session::{
        diagnosis::{Cause, Found, Page},
        host::{Hindrance, Untried},
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "no_attempt",
    whom: Some(Whom::Application),
    meaning: "no attempt on the wire: the process asked for no connection",
    seen: "no connection was tried for {silent_ns}[, though {names_asked} questions were asked]",
    fits: |_| None,
    page: Page {
        means: "An application that says it cannot reach its database has not tried: it sent no packet to SQL Server, \
            and the kernel refused it nothing. It waits in itself: for a connection of \
            its own pool (*Timeout expired ... obtaining a connection from the pool*), for a lock, for a thread.",
        signs: "Of a process that `--watch-process` names: no connection to a watched port began, no connect failed, \
            for as long as `--pending` says. Told once, in an `attempt` line, until it tries \
            again.",
        against: "Questions that it asked of name servers or of SQL Browser meanwhile (`names_asked`): then it may wait \
            for their answers. A process that needs no connection, or keeps those that it has; names that it asks for in another \
            way than by UDP, and connections to ports that are not watched.",
        confirm: "The pool's counters (`dotnet-counters`: *Microsoft.Data.SqlClient.EventSource*), a stack dump \
            (`dotnet-stack`, `jstack`), *Max Pool Size* in the connection string.",
        mend: "Close connections that are no longer used (`using`), a pool that is as large as what runs at a time; \
            give threads back that block.",
        reports: &["dotnet/SqlClient#601"],
    },
};

/// How well it fits what a watched process did.
pub(super) fn fits(untried: &Untried) -> Option<Found> {
    let silent = untried.to.saturating_sub(untried.from);
    (untried.hindrance == Hindrance::NothingTried)
        // Who asks for names wants to go somewhere, and that may be to SQL Server.
        .then(|| Found::at(if untried.asked > 0 { 0.6 } else { 0.9 }))
        .map(|found| found.took("silent_ns", silent).counted("names_asked", untried.asked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::diagnosis::untried::samples::{sure, untried};

    #[test]
    fn who_does_nothing_has_not_tried_and_who_is_refused_has() {
        assert!(sure(fits, &untried(Hindrance::NothingTried)) > 0.8);
        assert!(sure(fits, &untried(Hindrance::Connect(99))) < 0.1);
    }
}
