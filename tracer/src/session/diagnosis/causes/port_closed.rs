//! A RST answers the SYN: nothing listens there.

use crate::{
    record::{Outcome, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms, symptoms::NO_SOCKET},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "port_closed",
    whom: Some(Whom::Database),
    meaning: "nothing listens at that port",
    seen: "the SYN was answered with a reset[, like {refused_lately} others lately]",
    fits,
    page: Page {
        means: "The host answered the client's SYN with a reset: no process listens at that address and \
            port. SQL Server is down, is starting, listens elsewhere, or the client uses a wrong \
            port.",
        signs: "A RST, and nothing else, in answer to a SYN. That is certain; why nothing listens is not \
            on the wire. On the server's host Linux 6.10 and later says so itself (`reset_reason`: `NO_SOCKET`).",
        against: "Logins to the same address and port that were accepted within the last ten seconds: then \
            a full backlog answers so on Windows, or a device on the way.",
        confirm: "On the server's host: `Get-NetTCPConnection -State Listen` or `ss -ltnp`. SQL Server's \
            error log says at its start `Server is listening on`; `sys.dm_tcp_listener_states` shows \
            it from another way in.",
        mend: "Start the service, or mend the client's port. Of a named instance, let SQL Browser tell \
            the port or fix it in SQL Server Configuration Manager.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let refused = symptoms.ended_as(&[Outcome::Refused]);
    let around = &symptoms.around;
    let confidence = match (around.good, around.same_end) {
        // The server's own kernel says so.
        _ if symptoms.reset_here() == Some(NO_SOCKET) => 0.95,
        // It was sent there, which says more.
        _ if around.was_sent_here => 0.5,
        (0, _) => 0.95,
        // Who accepts others between two that it refuses listens.
        _ if around.good_between > 0 => 0.5,
        // It did listen.
        (_, 0) => 0.7,
        (_, 1..) => 0.9,
    };
    refused.then(|| {
        Found::at(confidence)
            .counted("refused_lately", symptoms.around.same_end)
            .counted("accepted_lately", symptoms.around.good)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{PhaseName, Side, Text},
        session::{
            ResetFacts,
            diagnosis::{
                symptoms::Who,
                tests::{ended, fits, misses, slow},
            },
        },
    };

    #[test]
    fn a_reset_in_answer_to_the_syn_is_a_closed_port_unless_others_get_in() {
        let mut refused = ended(Outcome::Refused, PhaseName::Handshake, Side::Server);
        assert!(fits(&CAUSE, &refused) >= 0.9);
        refused.around.good = 1;
        assert!(fits(&CAUSE, &refused) >= 0.7, "it was shut just now");
        (refused.around.same_end, refused.around.good_between) = (3, 1);
        assert!(fits(&CAUSE, &refused) <= 0.5);
        assert!(misses(&CAUSE, &slow(PhaseName::Handshake, Who::Network)));
    }

    #[test]
    fn the_servers_own_kernel_knows_it_best() {
        let mut refused = ended(Outcome::Refused, PhaseName::Handshake, Side::Server);
        refused.ended.as_mut().expect("an end").reset = true;
        (refused.around.good, refused.around.good_between) = (1, 1);
        assert!(fits(&CAUSE, &refused) <= 0.5);
        let reset = |by, reason| ResetFacts {
            by,
            reason: Text::from(reason),
        };
        refused.host.resets = vec![reset(Side::Client, NO_SOCKET)];
        assert!(fits(&CAUSE, &refused) <= 0.5, "that was another reset");
        refused.host.resets.push(reset(Side::Server, NO_SOCKET));
        assert!(fits(&CAUSE, &refused) > 0.9);
    }

    #[test]
    fn that_it_was_sent_there_says_more() {
        let mut sent = ended(Outcome::Refused, PhaseName::Handshake, Side::Server);
        assert!(fits(&CAUSE, &sent) >= 0.7);
        sent.around.was_sent_here = true;
        assert!(fits(&CAUSE, &sent) <= 0.5);
    }
}
