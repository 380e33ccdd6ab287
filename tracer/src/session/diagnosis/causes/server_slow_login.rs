//! The server alone is slow over LOGIN7.

use crate::{
    record::{AuthKind, PhaseName, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "server_slow_login",
    whom: Some(Whom::Database),
    meaning: "SQL Server was slow over the login itself",
    seen: "the server {was_asked} and answered {waited_ns} later[, where it \
           usually takes {usual_ns}][, with {stalled_with_it} other logins waiting]",
    fits,
    page: Page {
        means: "All before LOGIN7 was quick, and SQL Server took long over the login itself: a logon \
            trigger, resource governor's classifier, a database that recovers or opens \
            (`AUTO_CLOSE`), the first use of a database.",
        signs: "The server owed its answer for a second or more, or for ten times what it usually takes \
            there, its kernel had acknowledged the question (`acknowledged_ns`, where that was seen), and the answer came.",
        against: "Others that stall with it: then it is \
            [`server_threads_exhausted`](#server_threads_exhausted). Packets that were sent again.",
        confirm: "XEvent `process_login_finish` and the ring buffer: *TriggerAndResGovTime*. \
            `sys.server_triggers`; `sys.dm_resource_governor_configuration`; `sys.databases` for \
            `state_desc` and `is_auto_close_on`.",
        mend: "Shorten or disable the logon trigger and the classifier function; `ALTER DATABASE … SET \
            AUTO_CLOSE OFF`; wait for recovery, and let the application begin in a small database.",
        reports: &["babelfish-for-postgresql/babelfish_extensions#4118"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms.server_stall()?;
    // What follows the first reply waits for a domain controller, unless nobody asks one.
    let asks_nobody = matches!(symptoms.auth_kind(), AuthKind::Sql | AuthKind::Entra);
    let is_logins = match stall.phase {
        PhaseName::Login => true,
        PhaseName::Auth => asks_nobody,
        _ => false,
    };
    if !is_logins {
        return None;
    }
    Found::slow_server(symptoms, stall.phase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::Auth,
        session::diagnosis::{
            symptoms::Who,
            tests::{fits, misses, slow},
        },
    };

    #[test]
    fn a_server_that_is_slow_there_towards_this_login_alone_is_told() {
        let mut login = slow(PhaseName::Login, Who::Server);
        assert!(fits(&CAUSE, &login) >= 0.7);
        login.around.stalled = 8;
        assert!(fits(&CAUSE, &login) < 0.5, "it is not alone");
    }

    #[test]
    fn a_slow_client_and_another_phase_are_not() {
        assert!(misses(&CAUSE, &slow(PhaseName::Login, Who::Client)));
        assert!(misses(&CAUSE, &slow(PhaseName::Auth, Who::Server)));
    }

    #[test]
    fn a_federated_token_is_checked_by_the_server_itself() {
        let auth = Auth {
            kind: AuthKind::Entra,
            ..Auth::default()
        };
        let mut login = slow(PhaseName::Auth, Who::Server);
        login.auth = Some(&auth);
        assert!(fits(&CAUSE, &login) >= 0.7);
    }
}
