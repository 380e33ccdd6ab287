//! Packets had to be sent again.

use crate::{
    record::{Outcome, Side, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms, symptoms::Who},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "packet_loss",
    whom: Some(Whom::Network),
    meaning: "packets were lost",
    seen: "this host's own kernel dropped {dropped_packets} packets of the {dropped_of}'s: {drop_reason}|packets \
           were sent again for {lost_ns}[, {resent_by_client} of them by the client][, \
           {resent_by_server} by the server][, the SYN {syn_retransmits} times]",
    fits,
    page: Page {
        means: "Packets of the login were lost and sent again. Each loss costs a timer: 0.2 seconds at \
            first, twice as much each time, a second for a SYN.",
        signs: "Segments or SYNs that passed more than once before they were answered, and the time \
            between the copies (`lost_ns`). Where this host itself threw them away its kernel says why \
            (`drop_reason`, Linux 5.17 with BTF), and it is for whoever runs the host.",
        against: "Only full-size segments ([`path_mtu`](#path_mtu)); SYNs of several logins at once \
            ([`listen_backlog`](#listen_backlog)).",
        confirm: "Counters of interfaces and switches; `nstat -az TcpRetransSegs`, `ethtool -S`; a capture \
            on both hosts says on which way packets go missing.",
        mend: "Mend the path: duplex, cables, policers, queues of a VPN, a virtual switch without \
            processor time.",
        reports: &[],
    },
};

/// This host's own kernel has thrown packets away, and the login waited for somebody since.
fn dropped_here(symptoms: &Symptoms<'_>) -> Option<Found> {
    if symptoms.misses_its_syn() || symptoms.stall().is_none() {
        return None;
    }
    let mut sides = [Side::Server, Side::Client].into_iter();
    let dropped = sides.find_map(|of| symptoms.dropped_here(of))?;
    Some(
        Found::at(0.9)
            .call(Whom::Host)
            .shown_by_host()
            .with("dropped_packets", dropped.count)
            .with("dropped_of", dropped.of)
            .with("drop_reason", &dropped.reason)
            .took("lost_ns", symptoms.lost.time),
    )
}

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    if let Some(found) = dropped_here(symptoms) {
        return Some(found);
    }
    let lost = &symptoms.lost;
    let syns = symptoms.tcp.syn_retransmits.unwrap_or(0);
    if lost.copies == 0 || symptoms.ended_as(&[Outcome::Unreachable, Outcome::Refused]) {
        return None;
    }
    // What is too large for the path is not lost by chance.
    let full = lost.copies >= 3 && lost.for_good && lost.shortest >= 1000;
    // SYNs of several at once were dropped by the server.
    let together = symptoms.around.syn_again >= 2 || symptoms.dropping_listener().is_some();
    let dropped = syns > 0 && together && !symptoms.loses_data();
    let most = symptoms.is_slow() && lost.time >= symptoms.duration / 5 * 2;
    let felt = lost.time >= symptoms.slow / 2 || most;
    let never = lost.for_good && lost.copies >= 2;
    let worst = symptoms
        .worst()
        .is_some_and(|worst| worst.who == Who::Network);
    let confidence = match () {
        () if !felt && !never => return None,
        () if full || dropped => 0.45,
        () if worst || lost.for_good => 0.85,
        // What was waited for after the last copy that was seen may have been another one.
        () if most => 0.78,
        () => 0.6,
    };
    Some(
        Found::at(confidence)
            .took("lost_ns", lost.time)
            .with("resent_by_client", symptoms.tcp.retransmits.client)
            .with("resent_by_server", symptoms.tcp.retransmits.server)
            .with("syn_retransmits", Some(syns).filter(|syns| *syns > 0)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::PhaseName,
        session::{
            diagnosis::{
                Lost,
                causes::server_slow_login,
                symptoms::SECOND,
                tests::{fits, misses, slow},
            },
            host::DropFacts,
        },
    };

    fn lossy() -> Symptoms<'static> {
        let mut login = slow(PhaseName::Login, Who::Network);
        login.lost = Lost {
            time: 4 * SECOND,
            copies: 3,
            by: Some(Side::Client),
            length: 300,
            shortest: 300,
            for_good: false,
        };
        login
    }

    #[test]
    fn time_between_the_copies_of_packets_is_loss() {
        assert!(fits(&CAUSE, &lossy()) > 0.8);
        assert!(misses(&CAUSE, &slow(PhaseName::Login, Who::Network)));
    }

    #[test]
    fn what_this_hosts_kernel_threw_away_is_the_hosts_and_no_slow_server() {
        let mut waits = slow(PhaseName::Login, Who::Server);
        assert!(misses(&CAUSE, &waits));
        waits.host.dropped = vec![DropFacts {
            of: Side::Server,
            count: 3,
            reason: "NETFILTER_DROP".into(),
        }];
        assert!(fits(&CAUSE, &waits) >= 0.9);
        assert_eq!(super::fits(&waits).expect("it fits").whom, Some(Whom::Host));
        assert!(misses(&server_slow_login::CAUSE, &waits));
    }

    #[test]
    fn a_loss_that_took_no_time_and_only_full_packets_are_something_else() {
        let mut little = lossy();
        little.lost.time = 3_000_000;
        assert!(misses(&CAUSE, &little));
        let mut full = lossy();
        (full.lost.shortest, full.lost.for_good) = (1448, true);
        assert!(fits(&CAUSE, &full) < 0.5);
    }
}
