//! SQL authentication alone is slow on SQL Server 2025 and later.

use crate::{
    record::{AuthKind, PhaseName, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms, symptoms::SECOND},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "password_hash_cost",
    whom: Some(Whom::Database),
    meaning: "checking the password took long",
    seen: "SQL Server {server_major} answered the login with a password after {waited_ns}[, with \
           {ahead_of_it} others waiting before it]",
    fits,
    page: Page {
        means: "SQL Server 2025 stores passwords of SQL logins by a function that takes processor time \
            on purpose (PBKDF2, 100,000 rounds). Many logins at once queue for processors.",
        signs: "SQL authentication, server version 17 or later, the time is the server's between LOGIN7 \
            and its answer, and others waited there too.",
        against: "NTLM, Kerberos and Entra logins that are slow as well; waits of ten seconds and more; \
            other versions.",
        confirm: "Processor time of `sqlservr` while logins arrive; `process_login_finish` without long \
            trigger or enqueue times.",
        mend: "Pool connections, so that fewer passwords are checked. Give the host processors. Use \
            integrated or Entra authentication.",
        reports: &["hashcat/hashcat#4667"],
    },
};

/// SQL Server 2025.
const COSTLY: u32 = 17;

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms
        .server_stall()
        .filter(|stall| stall.phase == PhaseName::Login)?;
    let version = symptoms.server_major().filter(|major| *major >= COSTLY)?;
    if symptoms.auth_kind() != AuthKind::Sql || stall.took >= 10 * SECOND {
        return None;
    }
    // It grows with those who are checked at once.
    let crowded = symptoms.around.ahead >= 2;
    Some(
        Found::at(if crowded { 0.65 } else { 0.4 })
            .with("server_major", version)
            .counted("ahead_of_it", symptoms.around.ahead),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Auth, Tds},
        session::diagnosis::{
            symptoms::Who,
            tests::{fits, misses, slow},
        },
    };

    #[test]
    fn a_crowd_of_passwords_on_a_new_server_costs_time() {
        let tds = |version: &str| Tds {
            server_version: Some(version.into()),
            ..Tds::default()
        };
        let auth = Auth {
            kind: AuthKind::Sql,
            ..Auth::default()
        };
        let (new, old) = (tds("17.0.1000"), tds("16.0.1000"));
        let mut login = slow(PhaseName::Login, Who::Server);
        (login.auth, login.tds) = (Some(&auth), Some(&new));
        assert!(fits(&CAUSE, &login) < 0.5, "nobody else is checked");
        login.around.ahead = 12;
        assert!(fits(&CAUSE, &login) > 0.6);
        login.tds = Some(&old);
        assert!(misses(&CAUSE, &login));
    }
}
