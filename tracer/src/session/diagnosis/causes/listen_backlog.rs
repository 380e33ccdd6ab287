//! The listening socket has no room for another connection.

use super::syn_dropped_here::LISTENER_IS_FULL;
use crate::{
    record::{Outcome, Side, Whom},
    session::{
        diagnosis::{Cause, Found, Page, Symptoms},
        host::ListenerFacts,
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "listen_backlog",
    whom: Some(Whom::Database),
    meaning: "the queue for new connections was full",
    seen: "the SYN was sent {syn_retransmits} times more, like those of \
           {others_whose_syn_was_sent_again} others, while {accepted_lately} got in|the SYN was \
           answered with a reset, while {accepted_lately} others got in|{accept_queue} connections waited to be \
           accepted where {accept_queue_room} may, and {listener_drops} SYNs were dropped meanwhile|the server's host \
           dropped {dropped_packets} packets of the handshake: {drop_reason}|the socket that listens \
           dropped {listener_drops} SYNs, and its queue overflowed[ {listen_overflows} times]",
    fits,
    page: Page {
        means: "More connections arrived than SQL Server took from its listening socket. Windows resets \
            what finds no place, Linux drops the SYN, which the client sends again after one second.",
        signs: "Resets in answer to some SYNs while others are accepted between them; or several logins at once whose \
            SYN had to be sent again. Where the server is on the agent's host, the listening socket itself: more \
            waited than may (`accept_queue`, `accept_queue_room`), and it dropped SYNs (`listener_drops`).",
        against: "Data that had to be sent again too: then packets are lost. A single login: one SYN may \
            be lost anywhere.",
        confirm: "On Linux `nstat -az TcpExtListenOverflows TcpExtListenDrops` and `ss -ltn` (Recv-Q \
            against Send-Q). On Windows the counter *TCPv4: Connection Failures*. In SQL Server \
            waits of `THREADPOOL` in `sys.dm_os_wait_stats`: who has no worker accepts late.",
        mend: "Fewer connections at once: pooling, a minimum pool size, a start that is spread. On \
            Linux raise `net.core.somaxconn` and restart SQL Server.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let around = &symptoms.around;
    if let Some(listener) = symptoms.dropping_listener().filter(ListenerFacts::is_full) {
        return Some(
            Found::at(0.95)
                .shown_by_host()
                .with("syn_retransmits", symptoms.tcp.syn_retransmits)
                .with("listener_drops", listener.dropped)
                .with("accept_queue", listener.waiting)
                .with("accept_queue_room", listener.room),
        );
    }
    // Its queue is looked at now and then, and what did not fit into it counted by the kernel.
    let overflows = symptoms.host.server_net.listen_overflows.unwrap_or(0);
    if let Some(listener) = symptoms.dropping_listener().filter(|_| overflows > 0) {
        return Some(
            Found::at(0.88)
                .shown_by_host()
                .with("syn_retransmits", symptoms.tcp.syn_retransmits)
                .with("listener_drops", listener.dropped)
                .with("listen_overflows", overflows),
        );
    }
    let overflowed = symptoms
        .dropped_here(Side::Client)
        .filter(|dropped| dropped.reason.as_str() == LISTENER_IS_FULL && symptoms.misses_its_syn());
    if let Some(overflowed) = overflowed {
        return Some(
            Found::at(0.93)
                .shown_by_host()
                .with("syn_retransmits", symptoms.tcp.syn_retransmits)
                .with("dropped_packets", overflowed.count)
                .with("drop_reason", &overflowed.reason),
        );
    }
    if symptoms.ended_as(&[Outcome::Refused]) && around.good > 0 {
        // Windows refuses what finds no place, and takes the next one that does.
        let confidence = match around.good_between {
            0 if around.same_end > 0 => return None,
            0 => 0.4,
            1 | 2 => 0.6,
            3.. => 0.75,
        };
        return Some(
            Found::at(confidence)
                .with("accepted_lately", around.good)
                .counted("accepted_between", around.good_between)
                .counted("refused_lately", around.same_end),
        );
    }
    // Linux lets the SYN go unanswered until there is one.
    let again = symptoms.tcp.syn_retransmits.unwrap_or(0);
    let together = again > 0 && around.syn_again >= 2 && around.good > 0;
    let confidence = if around.syn_again >= 4 { 0.75 } else { 0.6 };
    let confidence = if symptoms.loses_data() {
        confidence - 0.3
    } else {
        confidence
    };
    together.then(|| {
        Found::at(confidence)
            .with("syn_retransmits", again)
            .with("others_whose_syn_was_sent_again", around.syn_again)
            .with("accepted_lately", around.good)
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
    fn who_accepts_some_and_refuses_others_has_no_room() {
        let mut refused = ended(Outcome::Refused, PhaseName::Handshake, Side::Server);
        assert!(misses(&CAUSE, &refused), "nobody is accepted");
        refused.around.good = 4;
        assert!(fits(&CAUSE, &refused) < 0.5, "they were before");
        (refused.around.same_end, refused.around.good_between) = (2, 3);
        assert!(fits(&CAUSE, &refused) >= 0.7);
        refused.around.good_between = 0;
        assert!(misses(&CAUSE, &refused), "nobody is accepted any more");
    }

    #[test]
    fn a_socket_that_was_full_and_dropped_syns_is_proof_for_one_alone() {
        let mut late = slow(PhaseName::Handshake, Who::Network);
        late.tcp.syn_retransmits = Some(1);
        let full = ListenerFacts {
            waiting: 2,
            room: 1,
            dropped: 1,
            ..ListenerFacts::default()
        };
        late.host.listener = Some(full);
        assert!(fits(&CAUSE, &late) > 0.9);
        late.host.listener = Some(ListenerFacts { dropped: 0, ..full });
        assert!(misses(&CAUSE, &late), "it dropped nothing");
        late.host.listener = Some(ListenerFacts { waiting: 0, ..full });
        assert!(misses(&CAUSE, &late), "it had room");
    }

    #[test]
    fn syns_of_several_logins_that_are_sent_again_were_dropped_and_not_lost() {
        let mut late = slow(PhaseName::Handshake, Who::Network);
        late.tcp.syn_retransmits = Some(1);
        assert!(misses(&CAUSE, &late), "one alone may have been lost");
        (late.around.syn_again, late.around.good) = (5, 5);
        assert!(fits(&CAUSE, &late) >= 0.7);
        late.around.resent = 3;
        assert!(fits(&CAUSE, &late) < 0.5, "data is lost too");
    }
}
