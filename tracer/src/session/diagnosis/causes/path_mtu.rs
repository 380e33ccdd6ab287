//! Only full-size segments are sent again and again.

use crate::{
    record::{Outcome, Side, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
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
            ones passed.",
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
    let lost = &symptoms.lost;
    let open = symptoms.is_pending() || symptoms.is_unanswered();
    let unknown = symptoms.ended_as(&[Outcome::Unknown]);
    let full = lost.for_good && lost.shortest >= FULL;
    if !full || !(open || unknown) {
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
            .with("resent_by", by),
    )
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
