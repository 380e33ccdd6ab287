//! An ERROR token, or a refusal inside TLS.

use crate::{
    record::{Outcome, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms, errors},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "login_rejected",
    whom: Some(Whom::Identity),
    meaning: "the server refused the login",
    seen: "the server answered with error {error}, state {state}[ ({means})]|the server gave a \
           short answer to the sealed login and ended the connection",
    fits,
    page: Page {
        means: "SQL Server read the login and refused it. The number says why; the state that a client \
            sees is mostly 1, the true one is in the server's error log.",
        signs: "An ERROR token and no LOGINACK: certain. Inside TLS a short reply and the server's end: \
            as sure as `login.confidence`.",
        against: "Errors that say more: [`initial_database`](#initial_database), \
            [`database_resuming`](#database_resuming), [`connection_limit`](#connection_limit), \
            [`server_threads_exhausted`](#server_threads_exhausted).",
        confirm: "SQL Server's error log: the line with 18456 has the state (5: no such user, 7 and 8: \
            password, 11 and 12: right to connect, 38 and 40: database, 58: SQL authentication is \
            off). XEvent `error_reported`.",
        mend: "As the number and state say.",
        reports: &["hugr-lab/mssql-extension#184"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    if !symptoms.ended_as(&[Outcome::Failed]) {
        return None;
    }
    let Some(error) = symptoms.errors.first() else {
        // Inside TLS the refusal is believed, not read.
        return Some(Found::at(0.9 * symptoms.belief).with("inferred", true));
    };
    let known = errors::meaning(error);
    // Others know more of these.
    let specific = symptoms.errors.iter().any(errors::is_specific);
    let found = Found::at(if specific { 0.5 } else { 0.97 })
        .with("error", error.number)
        .with("state", error.state)
        .with("means", known.map(|(means, _)| means));
    Some(match known {
        Some((_, whom)) => found.call(whom),
        None => found.call(Whom::Database),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{PhaseName, Side, SqlError},
        session::diagnosis::{
            symptoms::Who,
            tests::{ended, fits, misses, slow},
        },
    };

    fn failed(number: u32) -> Symptoms<'static> {
        let mut failed = ended(Outcome::Failed, PhaseName::Login, Side::Server);
        failed.errors = vec![SqlError {
            number,
            state: 1,
            class: 14,
        }];
        failed
    }

    #[test]
    fn the_server_says_it_and_who_is_called_depends_on_the_number() {
        let found = super::fits(&failed(18456)).expect("a refusal");
        assert!(found.confidence > 0.9 && found.whom == Some(Whom::Identity));
        let found = super::fits(&failed(17892)).expect("a refusal");
        assert_eq!(found.whom, Some(Whom::Database));
        assert!(fits(&CAUSE, &failed(4060)) <= 0.5, "the database is why");
    }

    #[test]
    fn a_refusal_that_is_only_believed_is_as_sure_as_that() {
        let mut sealed = failed(18456);
        sealed.errors.clear();
        sealed.belief = 0.7;
        assert!((0.6..0.7).contains(&fits(&CAUSE, &sealed)));
        assert!(misses(&CAUSE, &slow(PhaseName::Login, Who::Server)));
    }
}
