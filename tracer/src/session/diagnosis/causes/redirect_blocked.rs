//! The login was sent on to a port that does not answer.

use crate::{
    record::{Outcome, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "redirect_blocked",
    whom: Some(Whom::Network),
    meaning: "it can not reach the server that it was sent on to",
    seen: "the client was sent on to this port, and did not get in",
    fits,
    page: Page {
        means: "The first server acknowledged the login and sent the client on: Azure SQL Database to a \
            port between 11000 and 11999, an availability group to a readable secondary. The client \
            does not reach that one.",
        signs: "A login with the outcome `redirected`, then within 30 seconds a SYN of the same client \
            to the port it was sent to, refused or without an answer.",
        against: "Another client behind the same address: only addresses and ports are compared.",
        confirm: "Try the port that `login.redirect` names from the client's host. In Azure the server's \
            connection policy: *Default* and *Redirect* send on from inside Azure, *Proxy* does not.",
        mend: "Open ports 11000 to 11999 outbound to the region's addresses, or set the connection \
            policy to *Proxy*. Of an availability group mend `READ_ONLY_ROUTING_URL`.",
        reports: &[
            "Azure/data-api-builder#2690",
            "Azure/SQL-Connectivity-Checker#95",
            "istio/istio#61268",
            "dotnet/SqlClient#2103",
        ],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let unreached = symptoms.ended_as(&[Outcome::Unreachable, Outcome::Refused]);
    (unreached && symptoms.around.was_sent_here).then(|| {
        Found::at(0.93).with(
            "syns",
            symptoms.tcp.syn_retransmits.unwrap_or(0).saturating_add(1),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{PhaseName, Side},
        session::diagnosis::{
            symptoms::Who,
            tests::{ended, fits, misses, slow},
        },
    };

    #[test]
    fn a_port_that_the_client_was_sent_on_to_and_that_is_silent_is_blocked() {
        let mut unreachable = ended(Outcome::Unreachable, PhaseName::Handshake, Side::Client);
        assert!(misses(&CAUSE, &unreachable), "nobody sent it there");
        unreachable.around.was_sent_here = true;
        assert!(fits(&CAUSE, &unreachable) > 0.9);
        assert!(misses(&CAUSE, &slow(PhaseName::Login, Who::Server)));
    }
}
