//! Error 4060 or the like: the login is fine, its database is not.

use crate::{
    record::Whom,
    session::diagnosis::{Cause, Found, Page, Symptoms, errors},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "initial_database",
    whom: Some(Whom::Database),
    meaning: "the database it asks for can not be opened",
    seen: "the server answered with error {error}[ for the database {database}]",
    fits,
    page: Page {
        means: "The login itself was accepted, but the database that it asks for, or its default one, \
            does not exist, is offline, or does not know this user. SQL Server then says 18456 as \
            well, which hides it.",
        signs: "Error 4060 or 4064 among those of the reply, or another that is about a database (911, \
            916, 922, 924, 927, 942, 945, 976 to 983); 18456 with a state that is.",
        against: "Nothing: the server says so itself.",
        confirm: "SQL Server's error log: 18456 with state 38, 40 or 46. `sys.databases.state_desc`; in \
            the database `sys.database_principals` for the login's user.",
        mend: "Mend the name in the connection string, bring the database online, create the user \
            (`CREATE USER … FOR LOGIN …`).",
        reports: &["hugr-lab/mssql-extension#164", "dotnet/SqlClient#3707"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let mut errors = symptoms.errors.iter();
    let error = errors.find(|error| errors::is_of_database(error))?;
    Some(
        Found::at(0.97)
            .with("error", error.number)
            .with("state", error.state)
            .with("database", symptoms.database),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, PhaseName, Side, SqlError},
        session::diagnosis::tests::{ended, fits, misses},
    };

    #[test]
    fn a_refusal_that_names_the_database_first_is_not_about_the_password() {
        let error = |number| SqlError {
            number,
            state: 1,
            class: 14,
        };
        let mut failed = ended(Outcome::Failed, PhaseName::Login, Side::Server);
        failed.errors = vec![error(4060), error(18456)];
        assert!(fits(&CAUSE, &failed) > 0.9);
        failed.errors = vec![error(18456)];
        assert!(misses(&CAUSE, &failed));
        failed.errors[0].state = 38;
        assert!(fits(&CAUSE, &failed) > 0.9);
    }
}
