//! Round trips take most of the time.

use crate::{
    record::{Nanos, PhaseName, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms, symptoms::Who},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "network_slow",
    whom: Some(Whom::Network),
    meaning: "the way is long",
    seen: "packets took {rtt_ns} there and back[, usually {usual_rtt_ns}]",
    fits,
    page: Page {
        means: "The round trip between the two hosts is long: a login takes six and more of them. A \
            distant region, a satellite, a queue that is full.",
        signs: "Most of the time is the network's, and no packets were lost; surer where the round trip \
            is three times its usual one.",
        against: "Packets that were sent again; a late answer to the SYN alone, which the server's host \
            may owe.",
        confirm: "`tcp.rtt_ns` of other connections between the hosts; `mtr`; queues of the VPN or the \
            provider.",
        mend: "Bring the application near its database; pool connections; mend the queue.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms.stall().or(symptoms.worst())?;
    let in_all: u64 = symptoms
        .parts
        .iter()
        .map(|part| symptoms.waited(part.name, Who::Network))
        .fold(0, u64::saturating_add);
    // A round trip in each phase adds up.
    let adds_up = symptoms.is_slow() && in_all >= symptoms.duration / 5 * 3;
    let stalls = symptoms.stalled_by(Who::Network).is_some();
    let is_it = stall.who == Who::Network && (stalls || adds_up);
    if !is_it || symptoms.lost.time >= stall.took / 2 {
        return None;
    }
    let rtt = symptoms.tcp.rtt_ns?;
    let usual = symptoms.around.usual_round_trip;
    let odd = usual.is_some_and(|usual| rtt.0 / 3 >= usual);
    // Of a handshake alone it may be the server's host as well.
    let first = symptoms.waited(PhaseName::Handshake, Who::Network);
    let alone =
        stall.phase == PhaseName::Handshake && in_all.saturating_sub(first) < in_all / 5 * 2;
    let confidence = match (odd, alone) {
        (true, false) => 0.85,
        (true, true) => 0.5,
        (false, _) => 0.65,
    };
    Some(
        Found::at(symptoms.slowness(confidence))
            .took("network_ns", in_all)
            .with("rtt_ns", rtt)
            .with("usual_rtt_ns", usual.map(Nanos)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::diagnosis::{
        symptoms::SECOND,
        tests::{fits, misses, part, slow},
    };

    #[test]
    fn a_round_trip_above_the_usual_one_makes_a_login_slow() {
        let mut login = slow(PhaseName::Tls, Who::Network);
        login.tcp.rtt_ns = Some(Nanos(SECOND));
        assert!(fits(&CAUSE, &login) > 0.6);
        login.around.usual_round_trip = Some(30_000_000);
        assert!(fits(&CAUSE, &login) > 0.8);
        let mut short = login.clone();
        short.parts = [PhaseName::Handshake, PhaseName::Prelogin, PhaseName::Login]
            .map(|name| part(name, Who::Network, SECOND / 2))
            .to_vec();
        short.duration = SECOND / 2 * 3;
        assert!(fits(&CAUSE, &short) > 0.8, "it adds up");
        login.lost.time = 4 * SECOND;
        assert!(misses(&CAUSE, &login), "packets were lost");
    }
}
