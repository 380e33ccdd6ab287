//! Connects and leaves without a byte.

use crate::{
    record::{Outcome, Side, Stranger},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "probe",
    whom: None,
    meaning: "it only looked whether somebody listens",
    seen: "the client connected and left without a word[ after {open_ns}]",
    fits,
    page: Page {
        means: "A connection that was opened and closed by the client without a byte: the health check \
            of a load balancer, a monitoring system, a port scan; or the slower one of several that \
            a driver opened to a server's addresses at once.",
        signs: "The handshake, then the client's FIN or RST, and no data.",
        against: "A client that stayed for a second or longer: it may have been slow to speak. A driver that opens several connections at once and keeps the first leaves the others the \
            same way: where attempts are put together, that is [`parallel_race_lost`](#parallel_race_lost).",
        confirm: "Whose address it is.",
        mend: "None is needed.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let ended = symptoms.ended.filter(|ended| ended.by == Side::Client)?;
    let silent = symptoms.stranger == Some(Stranger::Silent) || symptoms.never_speaks();
    let leaves = symptoms.ended_as(&[Outcome::Aborted, Outcome::Reset]);
    // Who only looks does not stay.
    let confidence = if symptoms.duration < symptoms.slow {
        0.85
    } else {
        0.6
    };
    (silent && leaves && !ended.foreign)
        .then(|| Found::at(confidence).took("open_ns", symptoms.duration))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::PhaseName,
        session::diagnosis::tests::{ended, fits, misses},
    };

    #[test]
    fn who_connects_and_leaves_without_a_byte_only_looked() {
        let mut probe = ended(Outcome::Aborted, PhaseName::Prelogin, Side::Client);
        probe.tcp.bytes.client.0 = 88;
        probe.duration = 3_000_000;
        assert!(misses(&CAUSE, &probe));
        probe.stranger = Some(Stranger::Silent);
        assert!(fits(&CAUSE, &probe) > 0.8);
        probe.outcome = Some(Outcome::Reset);
        assert!(fits(&CAUSE, &probe) > 0.8, "by a RST");
        (probe.stranger, probe.tcp.bytes.client.0) = (None, 0);
        assert!(fits(&CAUSE, &probe) > 0.8, "it has said nothing");
        probe.duration = 15 * probe.slow;
        assert!(fits(&CAUSE, &probe) < 0.7, "it stayed for long");
        probe.ended.as_mut().expect("an end").by = Side::Server;
        assert!(misses(&CAUSE, &probe), "the server ended it");
    }
}
