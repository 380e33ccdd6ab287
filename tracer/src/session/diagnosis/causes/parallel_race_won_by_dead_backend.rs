//! The connection that won a race leads nowhere.

use crate::{
    record::{Outcome, Whom},
    session::diagnosis::{Cause, Found, Page, whole::Whole},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "parallel_race_won_by_dead_backend",
    whom: Some(Whom::Network),
    meaning: "the connection that was accepted first leads to no SQL Server",
    seen: "of connections that were opened at once the client went on with the one to {won}, which \
           said nothing for {waited_for_it_ns}[, though {losers_accepted} others were accepted]",
    fits: |_| None,
    page: Page {
        means: "The client opened connections to several addresses at once and went on with the one that was \
            accepted first (`MultiSubnetFailover`). That was accepted by something in front of SQL Server, \
            a load balancer or proxy, which has no living server behind it; another one would have.",
        signs: "Of an attempt: connections raced, the winner asked and the server's side has said not one \
            byte, and so the attempt failed. The surer where a loser had been accepted too \
            (`losers_accepted`). Told in `attempt` lines only.",
        against: "A server that is silent towards everybody: then it is \
            [`server_silent`](#server_silent) without a race.",
        confirm: "The proxy's own log and health checks; log in at each address with \
            `MultiSubnetFailover=False`.",
        mend: "Let the proxy refuse connections while no server is alive behind it; connect to the \
            servers' own addresses.",
        reports: &["dotnet/SqlClient#2192", "dotnet/SqlClient#2400"],
    },
};

/// How well it fits an attempt.
pub(super) fn fits(whole: &Whole<'_>) -> Option<Found> {
    let losers = || whole.steps.iter().filter(|step| step.loser);
    let winner = whole.decisive().filter(|step| !step.loser)?;
    let outcomes = [
        Outcome::Timeout,
        Outcome::Reset,
        Outcome::Closed,
        Outcome::Aborted,
    ];
    if losers().count() == 0 || winner.heard || !winner.ended_as(&outcomes) {
        return None;
    }
    let accepted = losers().filter(|step| !step.is_dead()).count();
    let address = winner.server.map(|(address, _)| address.to_string());
    Some(
        Found::at(if accepted > 0 { 0.9 } else { 0.8 })
            .with("won", address)
            .with("losers", losers().count())
            .with("losers_accepted", accepted)
            .took("waited_for_it_ns", winner.took),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::diagnosis::whole::{
        Step,
        samples::{connection, sure, whole},
    };

    #[test]
    fn a_winner_that_says_nothing_is_dead_and_one_that_speaks_is_not() {
        let loser = Step {
            loser: true,
            ..connection(2, Outcome::Aborted, (0, 0))
        };
        let silent = connection(3, Outcome::Timeout, (0, 15));
        assert!(sure(fits, &whole([loser, silent])) > 0.8);
        assert!(sure(fits, &whole([silent])) < 0.1, "nobody raced");
        let heard = Step {
            heard: true,
            ..silent
        };
        assert!(sure(fits, &whole([loser, heard])) < 0.1);
    }
}
