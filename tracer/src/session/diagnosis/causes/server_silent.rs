//! The server owes an answer until somebody leaves.

use crate::{
    record::{Outcome, PhaseName, Side, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "server_silent",
    whom: Some(Whom::Database),
    meaning: "the server never answered",
    seen: "the server {was_asked} and said nothing for {waited_ns}[, with \
           {stalled_with_it} other logins waiting]",
    fits,
    page: Page {
        means: "The server's host acknowledged the question and SQL Server never answered it, up to the \
            moment somebody left (or up to now, in a `pending` line).",
        signs: "The server owed the next message for a second or more when the login ended, and nothing \
            had to be sent again.",
        against: "Others that stall with it: then see \
            [`server_threads_exhausted`](#server_threads_exhausted). Questions that were sent again \
            and again: then they did not arrive.",
        confirm: "SQL Server's error log of that minute (dumps, *non-yielding scheduler*, stalled I/O), \
            the connectivity ring buffer by the client's port, `sys.dm_exec_sessions` for a session \
            of that client that was opened meanwhile.",
        mend: "Give the client a login timeout if it has none. What keeps the server silent depends on \
            the phase, which the evidence names.",
        reports: &["microsoft/mssql-jdbc#2925"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms.server_stall()?;
    let stopped = symptoms.stopped_at(stall.phase) && stall.phase != PhaseName::Handshake;
    let open = symptoms.is_pending() || symptoms.ended_as(&[Outcome::Unknown]);
    if !stopped || !(open || symptoms.is_unanswered()) {
        return None;
    }
    let left = symptoms.ended.is_some_and(|ended| ended.by == Side::Server);
    let confidence = match () {
        // It did answer: a part of that was lost on its way.
        () if symptoms.answer_lacks.is_some() => 0.4,
        () if symptoms.around.stalled >= 2 => 0.5,
        // Somebody else is asked there.
        () if symptoms.controller_stall().is_some() => 0.5,
        // It may yet come.
        () if open => 0.6,
        // It was not silent to the end.
        () if left => 0.7,
        () => 0.8,
    };
    let found = Found::at(confidence).counted("stalled_with_it", symptoms.around.stalled);
    Some(found.with("server_bytes", symptoms.tcp.bytes.server))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::diagnosis::{
        Lost,
        symptoms::Who,
        tests::{ended, fits, misses, slow},
    };

    #[test]
    fn a_server_that_owes_until_the_client_leaves_is_silent() {
        let mut silent = ended(Outcome::Timeout, PhaseName::Prelogin, Side::Client);
        assert!(fits(&CAUSE, &silent) >= 0.8);
        silent.outcome = None;
        assert!(fits(&CAUSE, &silent) < 0.8, "it may yet answer");
        let left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Server);
        assert!(fits(&CAUSE, &left) < 0.8, "it left, which says more");
    }

    #[test]
    fn one_that_never_got_the_question_is_not() {
        let mut lost = ended(Outcome::Timeout, PhaseName::Login, Side::Client);
        lost.lost = Lost {
            by: Some(Side::Client),
            copies: 5,
            for_good: true,
            ..Lost::default()
        };
        assert!(misses(&CAUSE, &lost));
        assert!(
            misses(&CAUSE, &slow(PhaseName::Login, Who::Server)),
            "it answered"
        );
    }

    #[test]
    fn one_whose_answer_was_lost_in_part_is_not_silent() {
        let mut torn = ended(Outcome::Timeout, PhaseName::Tls, Side::Client);
        torn.answer_lacks = Some(1448);
        assert!(fits(&CAUSE, &torn) < 0.5);
    }
}
