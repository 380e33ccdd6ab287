//! Error 40613: a database of Azure that is being resumed or moved.

use crate::{
    record::Whom,
    session::diagnosis::{Cause, Found, Page, Symptoms, errors::NOT_AVAILABLE},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "database_resuming",
    whom: Some(Whom::Database),
    meaning: "the database is not available yet",
    seen: "the server answered with error {error}[ for the database {database}]",
    fits,
    page: Page {
        means: "Azure SQL says that the database is not available (40613): a serverless one that was \
            paused is being resumed, which takes up to a minute, or it is moved to another node.",
        signs: "The error's number.",
        against: "Nothing: the server says so itself. That the next try succeeds shows in the next login.",
        confirm: "The database's activity log in Azure: *Resume*; `sys.event_log` in `master`.",
        mend: "Let the application try again for a minute; make the pause longer or none \
            (`autoPauseDelay`).",
        reports: &[
            "microsoft/vscode-mssql#22466",
            "microsoft/azuredatastudio#23999",
        ],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    symptoms.has_error(NOT_AVAILABLE).then(|| {
        Found::at(0.96)
            .with("error", NOT_AVAILABLE)
            .with("database", symptoms.database)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, PhaseName, Side, SqlError},
        session::diagnosis::tests::{ended, fits, misses},
    };

    #[test]
    fn the_error_says_it() {
        let mut failed = ended(Outcome::Failed, PhaseName::Login, Side::Server);
        failed.errors = vec![SqlError {
            number: NOT_AVAILABLE,
            state: 1,
            class: 14,
        }];
        assert!(fits(&CAUSE, &failed) > 0.9);
        failed.errors[0].number = 18456;
        assert!(misses(&CAUSE, &failed));
    }
}
