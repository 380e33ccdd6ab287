//! The client leaves early, of itself.

use crate::{
    record::{Nanos, Outcome, Side, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms, symptoms::Who},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "client_gave_up",
    whom: Some(Whom::Application),
    meaning: "the client left before the answer",
    seen: "the client left in {phase}[ after {waited_ns}][, where the server usually needs \
           {usual_ns}]|the client left",
    fits,
    page: Page {
        means: "The client ended the login itself: it was cancelled, its own timeout is shorter than \
            what the server usually takes, or it did not like what it was told (encryption that the \
            server lacks, MARS that was refused).",
        signs: "The client's FIN or RST while nobody had kept it waiting, or before the server's usual \
            time was over.",
        against: "A server that owed for a second or more without a usual time to compare: then it is the \
            server's silence that is told.",
        confirm: "The application's log: cancelled tasks, *Connect Timeout*, the driver's own message.",
        mend: "A connect timeout of 15 seconds and more; do not cancel what opens a connection for the \
            pool; settings that fit the server.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let by_client = symptoms.ended.is_some_and(|ended| ended.by == Side::Client);
    if symptoms.stranger.is_some() || symptoms.loser || !by_client {
        return None;
    }
    let phase = symptoms.stopped_in();
    let usual = phase.and_then(|phase| symptoms.around.usual(phase));
    let waited = phase.map_or(0, |phase| symptoms.waited(phase, Who::Server));
    let found = |confidence| {
        let tds = symptoms.tds;
        Some(
            Found::at(confidence)
                .with("usual_ns", usual.map(Nanos))
                .with("encryption_asked", tds.and_then(|tds| tds.encryption_asked))
                .with(
                    "encryption_answered",
                    tds.and_then(|tds| tds.encryption_answered),
                ),
        )
    };
    match symptoms.outcome {
        // The server would have answered.
        Some(Outcome::Timeout) if usual.is_some_and(|usual| waited / 2 < usual) => found(0.85),
        // Nobody kept it waiting.
        // It had seen the certificate, and did not go on.
        Some(Outcome::Aborted) if symptoms.left_over_certificate() => found(0.4),
        Some(Outcome::Aborted | Outcome::Reset) if symptoms.stall().is_none() => found(0.75),
        Some(Outcome::Aborted | Outcome::Reset) => found(0.4),
        // Its hello has no answer yet that it could mind.
        Some(Outcome::TlsFailed) if symptoms.left_at_hello() && symptoms.stall().is_none() => {
            found(0.75)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{PhaseName, Tls, Waited},
        session::diagnosis::{
            Around,
            symptoms::SECOND,
            tests::{ended, fits, hello, misses},
        },
    };

    #[test]
    fn a_client_that_nobody_keeps_waiting_leaves_of_itself() {
        let mut left = ended(Outcome::Aborted, PhaseName::Login, Side::Client);
        left.parts.iter_mut().for_each(|part| {
            (part.duration, part.waited) = (1_000_000, Some(Waited::default()));
        });
        left.duration = 2_000_000;
        assert!(fits(&CAUSE, &left) >= 0.7);
        left.ended = None;
        assert!(misses(&CAUSE, &left));
    }

    #[test]
    fn one_that_leaves_before_its_hello_is_answered_minds_nothing_in_it() {
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Client);
        let hello = Tls {
            hello: Some(hello(&["1.2"], 300)),
            ..Tls::default()
        };
        left.tls = Some(&hello);
        assert!(misses(&CAUSE, &left), "the server kept it waiting");
        left.parts.iter_mut().for_each(|part| {
            (part.duration, part.waited) = (1_000_000, Some(Waited::default()));
        });
        left.duration = 2_000_000;
        assert!(fits(&CAUSE, &left) >= 0.7);
    }

    #[test]
    fn one_that_left_before_the_servers_usual_time_was_impatient() {
        let mut left = ended(Outcome::Timeout, PhaseName::Login, Side::Client);
        assert!(misses(&CAUSE, &left), "the usual time is not known");
        left.around = Around::default().with_usual(PhaseName::Login, 10 * SECOND);
        assert!(fits(&CAUSE, &left) > 0.8);
    }
}
