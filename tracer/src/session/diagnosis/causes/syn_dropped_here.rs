//! This host drops the SYN, and the queue of who listens is not full.

use crate::{
    record::Whom,
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "syn_dropped_here",
    whom: Some(Whom::Host),
    meaning: "the server's own host dropped its SYN",
    seen: "the SYN was dropped on the server's host: {listener_drops} at the socket that listens, which had \
           room|a SYN was dropped on the server's host: {handshakes_full} for too many handshakes under \
           way|a SYN was dropped on the server's host: {reverse_path_drops} for another way back",
    fits,
    page: Page {
        means: "The SYN reached the server's host, which this agent is on, and was dropped there: too many \
            handshakes were under way (`net.ipv4.tcp_max_syn_backlog`), memory was short, or the host's \
            routes say that the answer would go another way (`rp_filter`).",
        signs: "The SYN was sent again or never answered, and meanwhile the very socket that listens there counted \
            drops (`listener_drops`) while it had room; or a counter of its network namespace moved: \
            `TCPReqQFullDrop` (`handshakes_full`), `IPReversePathFilter` (`reverse_path_drops`).",
        against: "Counters of the namespace move for others' SYNs too, so that they alone are never sure. Where the \
            queue for accepted connections was full it is [`listen_backlog`](#listen_backlog). What a firewall \
            drops is in none of these counters.",
        confirm: "`nstat -az TcpExtListenDrops TcpExtTCPReqQFullDrop TcpExtIPReversePathFilter`, \
            `ss -ltnm` (`d` of `skmem`), `nft list ruleset` with counters, `dropwatch`.",
        mend: "`net.ipv4.tcp_syncookies=1`, a larger `net.ipv4.tcp_max_syn_backlog`; `rp_filter=2` where \
            routes differ by direction.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    if !symptoms.misses_its_syn() {
        return None;
    }
    let net = &symptoms.host.server_net;
    let moved = |count: Option<u64>| count.filter(|count| *count > 0);
    let (full, reverse) = (moved(net.handshakes_full), moved(net.reverse_path));
    let dropped = symptoms.dropping_listener();
    let dropped = dropped.filter(|listener| !listener.is_full());
    // Who listens there has counted it itself; the rest may be others'.
    let confidence = match (dropped, full, reverse) {
        (Some(_), Some(_), _) => 0.9,
        (Some(_), None, _) => 0.8,
        (None, Some(_), _) | (None, None, Some(_)) => 0.5,
        (None, None, None) => return None,
    };
    Some(
        Found::at(confidence)
            .with("listener_drops", dropped.map(|listener| listener.dropped))
            .with("handshakes_full", full)
            .with("reverse_path_drops", reverse),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, PhaseName, Side},
        session::{
            diagnosis::tests::{ended, fits, misses},
            host::ListenerFacts,
        },
    };

    #[test]
    fn a_socket_that_drops_though_it_has_room_is_surer_than_a_counter_of_all() {
        let mut lost = ended(Outcome::Unreachable, PhaseName::Handshake, Side::Client);
        assert!(misses(&CAUSE, &lost));
        lost.host.server_net.handshakes_full = Some(3);
        assert!((0.4..0.6).contains(&fits(&CAUSE, &lost)));
        let mut listener = ListenerFacts {
            waiting: 0,
            room: 128,
            dropped: 3,
            ..ListenerFacts::default()
        };
        lost.host.listener = Some(listener);
        assert!(fits(&CAUSE, &lost) > 0.8);
        listener.waiting = 129;
        lost.host.listener = Some(listener);
        assert!(fits(&CAUSE, &lost) < 0.6, "that has another name");
    }

    #[test]
    fn one_whose_syn_was_answered_has_lost_none() {
        let mut fine = ended(Outcome::Timeout, PhaseName::Prelogin, Side::Client);
        fine.tcp.syn_retransmits = Some(0);
        fine.host.server_net.handshakes_full = Some(3);
        assert!(misses(&CAUSE, &fine));
    }
}
