//! A RST came another way than its side's data, or of somebody who knows of no connection.

use crate::{
    record::Whom,
    session::diagnosis::{
        Cause, Found, Page, Symptoms,
        symptoms::{NO_SOCKET, SECOND},
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "middlebox_reset",
    whom: Some(Whom::Network),
    meaning: "something on the way cut the connection",
    seen: "a reset came in {phase} of somebody who knows of no connection{knows_nothing?}, right after \
           the server had answered on it|a reset came in {phase}, by another way than the data|a reset \
           came[ after {idle_ns} of silence], by another way than the data",
    fits,
    page: Page {
        means: "A RST arrived in the name of one side that did not come the way that side's packets \
            come: a firewall, an intrusion filter or a load balancer has cut the connection. Both \
            ends see a reset by the other.",
        signs: "The time to live (hop limit) of the RST differs by more than one from that of the same \
            side's data. Or the RST acknowledges nothing (`knows_nothing`), as of a host that has no such connection, \
            when its side had just answered on it and not ended it.",
        against: "Hosts that send a RST with another initial time to live than data; a path that changed \
            at that moment. Where the kernel of this host says that one of its sockets has sent the reset (`reset_reason`, Linux 6.10), it \
            is not told.",
        confirm: "A capture on both hosts: both receive a RST, none sends it. The log of the device.",
        mend: "A rule for the database's port on that device; no inspection of what it takes for an \
            unknown protocol.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    // A socket of this host has sent it, as its kernel says. What no socket has sent may also follow a reset of another's.
    if symptoms.reset_here().is_some_and(|why| why != NO_SOCKET) {
        return None;
    }
    if symptoms
        .ended
        .is_some_and(|ended| ended.reset && ended.foreign)
    {
        return Some(Found::at(0.88));
    }
    let reset = symptoms.ended.filter(|ended| ended.reset && ended.bare);
    if reset.is_some_and(|reset| reset.after < SECOND) {
        return Some(Found::at(0.8).with("knows_nothing", true));
    }
    let closing = symptoms.closing?;
    let idle = closing.idle >= super::idle_drop::LEAST;
    let cut = closing.abnormal && closing.reset && closing.foreign && !idle;
    cut.then(|| {
        Found::at(0.8)
            .took("idle_ns", closing.idle)
            .counted("requests_in_flight", closing.in_flight)
            .finding()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, PhaseName, Side, Text},
        session::{
            ResetFacts,
            diagnosis::{
                Closing,
                tests::{ended, fits, misses},
            },
        },
    };

    #[test]
    fn what_a_socket_of_this_host_has_sent_came_from_nowhere_else() {
        let mut reset = ended(Outcome::Reset, PhaseName::Login, Side::Server);
        reset.ended.as_mut().expect("an end").foreign = true;
        assert!(fits(&CAUSE, &reset) > 0.8);
        let why = |reason| ResetFacts {
            by: Side::Server,
            reason: Text::from(reason),
        };
        reset.host.resets = vec![why("TCP_STATE")];
        assert!(misses(&CAUSE, &reset));
        reset.host.resets = vec![why(NO_SOCKET)];
        assert!(fits(&CAUSE, &reset) > 0.8, "the answer to what came later");
    }

    #[test]
    fn a_reset_from_another_distance_is_nobodys_of_the_two() {
        let mut reset = ended(Outcome::Reset, PhaseName::Login, Side::Server);
        assert!(misses(&CAUSE, &reset));
        let end = reset.ended.as_mut().expect("an end");
        (end.reset, end.foreign) = (true, true);
        assert!(fits(&CAUSE, &reset) > 0.8);
    }

    #[test]
    fn a_reset_of_somebody_who_knows_of_no_connection_is_nobodys_either_where_the_server_just_spoke()
     {
        let mut reset = ended(Outcome::Reset, PhaseName::Login, Side::Server);
        let end = reset.ended.as_mut().expect("an end");
        (end.reset, end.bare, end.after) = (true, true, 1_000_000);
        assert!(fits(&CAUSE, &reset) >= 0.8);
        reset.ended.as_mut().expect("an end").after = 60 * SECOND;
        assert!(
            misses(&CAUSE, &reset),
            "the server may have restarted by then"
        );
    }

    #[test]
    fn after_the_login_it_is_told_at_the_close() {
        let closing = Closing {
            abnormal: true,
            reset: true,
            foreign: true,
            idle: SECOND,
            probes: 0,
            copies: 0,
            in_flight: 1,
        };
        let cut = Symptoms {
            outcome: Some(Outcome::Success),
            closing: Some(closing),
            ..Symptoms::default()
        };
        assert!(super::fits(&cut).is_some_and(|found| found.is_finding));
    }
}
