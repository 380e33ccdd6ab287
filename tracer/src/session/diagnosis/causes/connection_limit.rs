//! Accepted, and closed by the server before anything was said.

use crate::{
    record::{Outcome, Side, Whom},
    session::diagnosis::{
        Cause, Found, Page, Symptoms, errors::TOO_MANY_CONNECTIONS, symptoms::SECOND,
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "connection_limit",
    whom: Some(Whom::Database),
    meaning: "the server takes connections and drops them at once",
    seen: "the server answered with error {error}|the server took the connection and ended it \
           without a byte[, like {dropped_lately} others lately][, while {accepted_lately} got in]",
    fits,
    page: Page {
        means: "The connection was accepted and closed at once, before the server said a word: it has as \
            many as it may have, it is shutting down or starting, or a proxy has nobody behind it.",
        signs: "Error 17809: certain. A FIN or RST of the server within a second of the last message, \
            without one byte of it; the more logins go the same way, the surer.",
        against: "A RST that came another way than the server's packets: then see \
            [`middlebox_reset`](#middlebox_reset). A FIN after PRELOGIN, where nobody who begins with it gets \
            in: see [`strict_only_server`](#strict_only_server). A single one may be anything.",
        confirm: "`SELECT @@MAX_CONNECTIONS`, `sp_configure 'user connections'`, error 17809 in the error \
            log; XEvent `connectivity_ring_buffer_recorded`. In Azure the service tier's limits of \
            workers and sessions (errors 10928, 10929).",
        mend: "Close connections that nobody uses, pool them, raise the limit. Of a proxy look at its \
            backends.",
        reports: &[],
    },
};

/// What is ended at once is ended within this time.
const AT_ONCE: u64 = SECOND;

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    if symptoms.has_error(TOO_MANY_CONNECTIONS) {
        return Some(Found::at(0.97).with("error", TOO_MANY_CONNECTIONS));
    }
    let ended = symptoms
        .ended
        .filter(|ended| ended.by == Side::Server && !ended.foreign)?;
    let dropped = symptoms.ended_as(&[Outcome::Reset, Outcome::Closed]);
    let silent = symptoms.tcp.bytes.server.0 == 0;
    if !dropped || !silent || ended.after >= AT_ONCE {
        return None;
    }
    let alike = symptoms.around.same_end;
    let confidence = match alike {
        0..2 => 0.5,
        2..5 => 0.7,
        5.. => 0.85,
    };
    // Whoever takes no more reads nothing of theirs: what is unread makes its end a RST.
    let was_read = symptoms.left_over_prelogin() && symptoms.around.good_plain == 0;
    let confidence = match was_read {
        true if symptoms.around.good_strict > 0 => confidence * 0.5,
        true if !ended.reset => confidence * 0.7,
        _ => confidence,
    };
    Some(
        Found::at(confidence)
            .counted("dropped_lately", alike)
            .counted("accepted_lately", symptoms.around.good)
            .with("reset", ended.reset),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::PhaseName,
        session::diagnosis::tests::{ended, fits, misses},
    };

    #[test]
    fn many_that_are_dropped_at_once_met_a_limit() {
        let mut dropped = ended(Outcome::Reset, PhaseName::Prelogin, Side::Server);
        dropped.ended.as_mut().expect("an end").after = 300_000;
        assert!(fits(&CAUSE, &dropped) <= 0.5, "one alone");
        dropped.around.same_end = 40;
        assert!(fits(&CAUSE, &dropped) > 0.8);
    }

    #[test]
    fn who_had_an_answer_or_left_by_itself_did_not() {
        let mut spoke = ended(Outcome::Reset, PhaseName::Login, Side::Server);
        spoke.tcp.bytes.server = 400.into();
        assert!(misses(&CAUSE, &spoke));
        let left = ended(Outcome::Aborted, PhaseName::Prelogin, Side::Client);
        assert!(misses(&CAUSE, &left));
    }
}
