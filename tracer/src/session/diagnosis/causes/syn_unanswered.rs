//! No SYN is answered.

use crate::{
    record::{Outcome, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "syn_unanswered",
    whom: Some(Whom::Network),
    meaning: "nobody answered its SYN",
    seen: "the SYN was sent {syns} times without an answer[, while {accepted_lately} others got in]",
    fits,
    page: Page {
        means: "Nothing came back for any SYN: a firewall drops it, the address is nobody's, there is no \
            route, or the server's listen queue is full.",
        signs: "One SYN or more, sent again after 1, 3 and 7 seconds, and no packet of the server.",
        against: "Others that reach the same server at the same time (`accepted_lately`): then it is no \
            filter between the two hosts.",
        confirm: "Look for the SYN on the server's host. Where it arrives there, `nstat -az \
            TcpExtListenDrops` or the host's own firewall; where it does not, the path.",
        mend: "Open the path for the port; take dead addresses out of DNS; of a cluster that spans \
            subnets, set `MultiSubnetFailover=True`.",
        reports: &[
            "freetds/freetds#607",
            "pymssql/pymssql#898",
            "mkleehammer/pyodbc#1319",
        ],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let unreachable = symptoms.ended_as(&[Outcome::Unreachable]);
    let tries = symptoms.tcp.syn_retransmits.unwrap_or(0).saturating_add(1);
    let confidence = match (tries, symptoms.around.good) {
        // It was sent there, which says more.
        _ if symptoms.around.was_sent_here => 0.5,
        // The host that it went to knows why.
        _ if symptoms.dropping_listener().is_some() => 0.5,
        _ if !symptoms.host.dropped.is_empty() => 0.5,
        // Others get through: it is not a filter between the two hosts.
        (_, 1..) => 0.6,
        (1, 0) => 0.7,
        (_, 0) => 0.9,
    };
    unreachable.then(|| {
        Found::at(confidence)
            .with("syns", tries)
            .counted("accepted_lately", symptoms.around.good)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{PhaseName, Side},
        session::diagnosis::tests::{ended, fits},
    };

    #[test]
    fn several_syns_without_an_answer_are_certain_where_nobody_else_gets_through() {
        let mut unreachable = ended(Outcome::Unreachable, PhaseName::Handshake, Side::Client);
        unreachable.tcp.syn_retransmits = Some(3);
        assert!(fits(&CAUSE, &unreachable) >= 0.9);
        unreachable.around.good = 5;
        assert!(fits(&CAUSE, &unreachable) < 0.7);
    }

    #[test]
    fn that_it_was_sent_there_says_more() {
        let mut sent = ended(Outcome::Unreachable, PhaseName::Handshake, Side::Server);
        assert!(fits(&CAUSE, &sent) >= 0.7);
        sent.around.was_sent_here = true;
        assert!(fits(&CAUSE, &sent) <= 0.5);
    }
}
