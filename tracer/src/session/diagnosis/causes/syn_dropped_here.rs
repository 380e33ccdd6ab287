//! This host drops the SYN, and the queue of who listens is not full.

use crate::{
    record::{Side, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "syn_dropped_here",
    whom: Some(Whom::Host),
    meaning: "this host dropped its SYN, or the answer to it",
    seen: "this host's own kernel dropped {dropped_packets} packets of the {dropped_of}'s: {drop_reason}|the SYN was dropped on the server's host: {listener_drops} at the socket that listens, which had \
           room|a SYN was dropped on the server's host: {handshakes_full} for too many handshakes under \
           way|a SYN was dropped on the server's host: {reverse_path_drops} for another way back",
    fits,
    page: Page {
        means: "The agent's own host threw the SYN away, or the answer to it: its firewall, its routes, or \
            the limits of whoever listens on it. The SYN reached the server's host, which this agent is on, and was dropped there: too many \
            handshakes were under way (`net.ipv4.tcp_max_syn_backlog`), memory was short, or the host's \
            routes say that the answer would go another way (`rp_filter`).",
        signs: "The SYN was sent again or never answered, and the kernel itself says that it dropped packets of this \
            connection and why (`drop_reason`: `NETFILTER_DROP` is a firewall or a full connection table, `XDP` and \
            `TC_INGRESS` are other programs, `IP_RPFILTER` is the way back; `dropped_of` says whose packets they \
            were). That takes Linux 5.17 with BTF. Or meanwhile the very socket that listens there counted \
            drops (`listener_drops`) while it had room; or a counter of its network namespace moved: \
            `TCPReqQFullDrop` (`handshakes_full`), `IPReversePathFilter` (`reverse_path_drops`).",
        against: "Counters of the namespace move for others' SYNs too, so that they alone are never sure. Where the \
            queue for accepted connections was full it is [`listen_backlog`](#listen_backlog). What a firewall \
            drops is in none of these counters; where the kernel does not say why it drops, and on the way between the \
            hosts, it is [`syn_unanswered`](#syn_unanswered).",
        confirm: "`nstat -az TcpExtListenDrops TcpExtTCPReqQFullDrop TcpExtIPReversePathFilter`, \
            `ss -ltnm` (`d` of `skmem`), `nft list ruleset` with counters, `dropwatch`.",
        mend: "`net.ipv4.tcp_syncookies=1`, a larger `net.ipv4.tcp_max_syn_backlog`; `rp_filter=2` where \
            routes differ by direction.",
        reports: &[],
    },
};

/// The kernel's name for what is [`listen_backlog`](super::listen_backlog).
pub(super) const LISTENER_IS_FULL: &str = "TCP_LISTEN_OVERFLOW";

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    if !symptoms.misses_its_syn() {
        return None;
    }
    // A SYN in vain, or an answer that was never let in.
    let mut sides = [Side::Client, Side::Server].into_iter();
    if let Some(dropped) = sides.find_map(|of| symptoms.dropped_here(of))
        && dropped.reason.as_str() != LISTENER_IS_FULL
    {
        return Some(
            Found::at(0.95)
                .shown_by_host()
                .with("dropped_packets", dropped.count)
                .with("dropped_of", dropped.of)
                .with("drop_reason", &dropped.reason),
        );
    }
    let net = &symptoms.host.server_net;
    let moved = |count: Option<u64>| count.filter(|count| *count > 0);
    let (full, reverse) = (moved(net.handshakes_full), moved(net.reverse_path));
    let dropped = symptoms.dropping_listener();
    // That is [`listen_backlog`](super::listen_backlog).
    let has_overflowed = moved(net.listen_overflows).is_some();
    let dropped = dropped.filter(|listener| !listener.is_full() && !has_overflowed);
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
        record::{Outcome, PhaseName},
        session::{
            diagnosis::{
                causes::{listen_backlog, syn_unanswered},
                tests::{ended, fits, misses},
            },
            host::{DropFacts, ListenerFacts},
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
        lost.host.server_net.listen_overflows = Some(3);
        assert!(fits(&CAUSE, &lost) < 0.6, "its queue has overflowed");
        assert!(fits(&listen_backlog::CAUSE, &lost) > 0.8);
        lost.host.server_net.listen_overflows = None;
        listener.waiting = 129;
        lost.host.listener = Some(listener);
        assert!(fits(&CAUSE, &lost) < 0.6, "that has another name");
    }

    #[test]
    fn what_the_kernel_itself_says_is_surer_than_that_nobody_answered() {
        let mut lost = ended(Outcome::Unreachable, PhaseName::Handshake, Side::Client);
        lost.tcp.syn_retransmits = Some(3);
        let dropped = |reason: &str| DropFacts {
            of: Side::Client,
            count: 4,
            reason: reason.into(),
        };
        lost.host.dropped = vec![dropped("NETFILTER_DROP")];
        assert!(fits(&CAUSE, &lost) > 0.9);
        assert!(fits(&syn_unanswered::CAUSE, &lost) <= 0.5);
        lost.host.dropped = vec![dropped("TCP_LISTEN_OVERFLOW")];
        assert!(misses(&CAUSE, &lost), "that has another name");
        assert!(fits(&listen_backlog::CAUSE, &lost) > 0.9);
    }

    #[test]
    fn one_whose_syn_was_answered_has_lost_none() {
        let mut fine = ended(Outcome::Timeout, PhaseName::Prelogin, Side::Client);
        fine.tcp.syn_retransmits = Some(0);
        fine.host.server_net.handshakes_full = Some(3);
        assert!(misses(&CAUSE, &fine));
    }
}
