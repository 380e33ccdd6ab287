//! The SYN-ACK is late though no SYN was lost.

use crate::{
    record::{Nanos, PhaseName, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms, symptoms::Who},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "server_slow_accept",
    whom: Some(Whom::Database),
    meaning: "its SYN was answered late",
    seen: "the SYN was answered after {waited_ns}[, where it usually takes {usual_rtt_ns}]",
    fits,
    page: Page {
        means: "The server's host, or whatever answers for it (a proxy, a load balancer, a firewall), \
            answered the SYN late.",
        signs: "One SYN, and its answer after a second or more, or after ten times the usual round trip.",
        against: "SYNs that were sent again; a round trip that is long as a rule.",
        confirm: "A capture on the server's host: whether the SYN arrives late or is answered late. \
            `sys.dm_os_schedulers` and the host's processor queue.",
        mend: "Give the host processors; take what answers in the server's place out of the way.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms.stall()?;
    let in_handshake = stall.phase == PhaseName::Handshake && stall.who != Who::Client;
    let lost = symptoms.tcp.syn_retransmits.is_none_or(|again| again > 0);
    if !in_handshake || lost {
        return None;
    }
    let usual = symptoms.around.usual_round_trip;
    let odd = usual.is_some_and(|usual| stall.took / 10 > usual);
    let confidence = if odd { 0.65 } else { 0.4 };
    Some(Found::at(confidence).with("usual_rtt_ns", usual.map(Nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::diagnosis::tests::{fits, misses, slow};

    #[test]
    fn a_late_answer_to_the_syn_counts_where_the_round_trip_is_usually_short() {
        let mut late = slow(PhaseName::Handshake, Who::Network);
        late.tcp.syn_retransmits = Some(0);
        assert!(fits(&CAUSE, &late) < 0.5, "the way may be long");
        late.around.usual_round_trip = Some(500_000);
        assert!(fits(&CAUSE, &late) > 0.6);
        late.tcp.syn_retransmits = Some(1);
        assert!(misses(&CAUSE, &late), "a SYN was lost or dropped");
    }
}
