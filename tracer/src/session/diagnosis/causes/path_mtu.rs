//! Only full-size segments are sent again and again.

use crate::{
    record::{Outcome, Side, Whom},
    session::diagnosis::{
        Cause, Found, Page, Symptoms,
        symptoms::{SECOND, Who},
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "path_mtu",
    whom: Some(Whom::Network),
    meaning: "full-size packets do not get through",
    seen: "a segment of {segment_bytes} bytes was sent {copies} times more and never acknowledged",
    fits,
    page: Page {
        means: "Somewhere on the way packets may only be smaller (a tunnel, PPPoE, a VPN), and the ICMP \
            message that would say so is dropped. Small packets pass, full-size ones never do: \
            PRELOGIN succeeds, then the server's certificate, a large hello or a LOGIN7 with a \
            Kerberos ticket is lost for ever.",
        signs: "One full-size segment, sent again and again unchanged and never answered, while smaller \
            ones passed. Where the agent is with the receiver: the end of an answer has come, and of what \
            fills packets (`missing_bytes`) nothing for seconds.",
        against: "Small segments that are lost too; a segment that arrives in the end.",
        confirm: "`ping -M do -s 1472 HOST` and downwards, `tracepath HOST`; Windows: `ping -f -l 1472`. \
            Whether ICMP type 3 code 4 passes the firewalls.",
        mend: "Clamp the MSS on the tunnel, lower the MTU of the interface, let ICMP *fragmentation \
            needed* pass; `net.ipv4.tcp_mtu_probing=1` on Linux.",
        reports: &["openssl/openssl#27557"],
    },
};

/// Segments of this size fill a packet, or nearly.
const FULL: u32 = 1000;

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let open = symptoms.is_pending() || symptoms.is_unanswered();
    let unknown = symptoms.ended_as(&[Outcome::Unknown]);
    if !(open || unknown) {
        return None;
    }
    sent_in_vain(symptoms).or_else(|| torn_answer(symptoms))
}

/// Seen from the sender.
fn sent_in_vain(symptoms: &Symptoms<'_>) -> Option<Found> {
    let lost = &symptoms.lost;
    if !lost.for_good || lost.shortest < FULL {
        return None;
    }
    let confidence = match lost.copies {
        0..2 => return None,
        2 => 0.5,
        3 => 0.75,
        4.. => 0.9,
    };
    let by = lost.by.map(|by| match by {
        Side::Client => "client",
        Side::Server => "server",
    });
    Some(
        Found::at(confidence)
            .with("copies", lost.copies)
            .with("segment_bytes", lost.length)
            .with("resent_by", by)
            .with("path_mtu", symptoms.host.socket.path_mtu),
    )
}

/// Seen from the client: the rest of an answer has come, and what fills packets has not, however often it
/// was sent.
fn torn_answer(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms.stalled_by(Who::Server)?;
    let lacks = symptoms.answer_lacks.filter(|lacks| *lacks >= FULL)?;
    let confidence = if stall.took >= 3 * SECOND { 0.85 } else { 0.65 };
    symptoms.stopped_at(stall.phase).then(|| {
        Found::at(confidence)
            .with("missing_bytes", lacks)
            .with("resent_by", "server")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::PhaseName,
        session::diagnosis::{
            Lost,
            symptoms::SECOND,
            tests::{ended, fits, misses},
        },
    };

    #[test]
    fn an_answer_of_which_only_the_end_has_come_does_not_fit_through_either() {
        let mut torn = ended(Outcome::Timeout, PhaseName::Tls, Side::Client);
        assert!(misses(&CAUSE, &torn));
        torn.answer_lacks = Some(1448);
        assert!(fits(&CAUSE, &torn) > 0.8);
        torn.answer_lacks = Some(60);
        assert!(misses(&CAUSE, &torn), "that would have fitted");
    }

    fn hole() -> Symptoms<'static> {
        let mut login = ended(Outcome::Timeout, PhaseName::Tls, Side::Client);
        login.lost = Lost {
            time: 10 * SECOND,
            copies: 6,
            by: Some(Side::Server),
            length: 1448,
            shortest: 1448,
            for_good: true,
        };
        login
    }

    #[test]
    fn a_full_segment_that_is_never_answered_does_not_fit_through() {
        assert!(fits(&CAUSE, &hole()) >= 0.9);
    }

    #[test]
    fn small_ones_that_are_lost_too_and_one_that_arrives_in_the_end_are_loss() {
        let mut small = hole();
        small.lost.shortest = 60;
        assert!(misses(&CAUSE, &small));
        let mut arrives = hole();
        arrives.lost.for_good = false;
        assert!(misses(&CAUSE, &arrives));
    }
}
