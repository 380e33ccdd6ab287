//! The SYN-ACK is late though no SYN was lost.

use crate::{
    record::{Nanos, PhaseName, Whom},
    session::diagnosis::{
        Cause, Found, Page, Symptoms,
        symptoms::{SECOND, Who},
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "server_slow_accept",
    whom: Some(Whom::Database),
    meaning: "it was let in late",
    seen: "connections waited {accept_queue_ns} to be accepted, {accept_queue} at once|the SYN was answered after \
           {waited_ns}[, where it usually takes {usual_rtt_ns}]",
    fits,
    page: Page {
        means: "The server's host, or whatever answers for it (a proxy, a load balancer, a firewall), \
            answered the SYN late.",
        signs: "One SYN, and its answer after a second or more; the surer where that is ten times the usual round \
            trip, or ten times what any later phase waited for the server. Where the server is on the agent's host: connections that the kernel had taken waited in the socket that listens, and \
            nobody accepted them, for as long as PRELOGIN waited (`accept_queue`, `accept_queue_ns`).",
        against: "SYNs that were sent again; a round trip that is long as a rule.",
        confirm: "A capture on the server's host: whether the SYN arrives late or is answered late. \
            `sys.dm_os_schedulers` and the host's processor queue.",
        mend: "Give the host processors; take what answers in the server's place out of the way.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms.stall()?;
    if stall.phase == PhaseName::Prelogin && stall.who == Who::Server {
        return waits_to_be_accepted(symptoms, stall.took);
    }
    let in_handshake = stall.phase == PhaseName::Handshake && stall.who != Who::Client;
    let lost = symptoms.tcp.syn_retransmits.is_none_or(|again| again > 0);
    if !in_handshake || lost {
        return None;
    }
    // How long the way is, the rest of the login shows too.
    let later = || {
        let parts = symptoms.parts.iter();
        let parts = parts.filter(|part| part.name != PhaseName::Handshake && part.complete);
        parts.filter_map(|part| part.waited)
    };
    if later().any(|waited| waited.network_ns.0 >= stall.took / 2) {
        return None;
    }
    let longest = later()
        .map(|waited| waited.network_ns.0 + waited.server_ns.0)
        .max();
    let usual = symptoms.around.usual_round_trip;
    let odd = usual
        .or(longest)
        .is_some_and(|usual| stall.took / 10 > usual);
    let confidence = if odd { 0.65 } else { 0.4 };
    Some(Found::at(confidence).with("usual_rtt_ns", usual.map(Nanos)))
}

/// The server's kernel has taken the connection, and SQL Server does not take it from there.
fn waits_to_be_accepted(symptoms: &Symptoms<'_>, took: u64) -> Option<Found> {
    let listener = symptoms.host.listener?;
    let queued = listener.waiting_for.filter(|queued| *queued > 0)?;
    // It is looked at each second.
    let most_of_it = listener.is_full() || queued.saturating_add(2 * SECOND) >= took;
    Some(
        Found::at(if most_of_it { 0.85 } else { 0.5 })
            .shown_by_host()
            .with("accept_queue", listener.waiting)
            .with("accept_queue_room", listener.room)
            .took("accept_queue_ns", queued),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{
        diagnosis::tests::{fits, misses, part, slow},
        host::ListenerFacts,
    };

    #[test]
    fn connections_that_wait_to_be_accepted_for_as_long_as_prelogin_does_are_why() {
        let mut late = slow(PhaseName::Prelogin, Who::Server);
        assert!(misses(&CAUSE, &late));
        let mut listener = ListenerFacts {
            waiting: 1,
            room: 128,
            waiting_for: Some(0),
            dropped: 0,
        };
        late.host.listener = Some(listener);
        assert!(misses(&CAUSE, &late), "each waits for a moment");
        listener.waiting_for = Some(4 * SECOND);
        late.host.listener = Some(listener);
        assert!(fits(&CAUSE, &late) > 0.8);
    }

    #[test]
    fn a_late_answer_to_the_syn_counts_where_the_round_trip_is_usually_short() {
        let mut late = slow(PhaseName::Handshake, Who::Network);
        late.tcp.syn_retransmits = Some(0);
        assert!(fits(&CAUSE, &late) < 0.5, "the way may be long");
        late.around.usual_round_trip = Some(500_000);
        assert!(fits(&CAUSE, &late) > 0.6);
        late.around.usual_round_trip = None;
        late.parts
            .push(part(PhaseName::Prelogin, Who::Server, 400_000));
        assert!(fits(&CAUSE, &late) > 0.6, "its later messages were quick");
        late.parts
            .push(part(PhaseName::Login, Who::Network, 5 * SECOND));
        assert!(misses(&CAUSE, &late), "the way is long");
        late.parts.truncate(1);
        late.around.usual_round_trip = Some(500_000);
        late.tcp.syn_retransmits = Some(1);
        assert!(misses(&CAUSE, &late), "a SYN was lost or dropped");
    }
}
