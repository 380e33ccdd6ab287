//! The server alone is slow over PRELOGIN.

use crate::{
    record::{PhaseName, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "server_slow_prelogin",
    whom: Some(Whom::Database),
    meaning: "SQL Server was slow to answer PRELOGIN",
    seen: "the server {was_asked} and answered {waited_ns} later[, where it \
           usually takes {usual_ns}][, with {stalled_with_it} other logins waiting]",
    fits,
    page: Page {
        means: "SQL Server took long to answer this login's PRELOGIN; others did not wait with it. A \
            worker was late, or something in front of SQL Server (a proxy, a load balancer) was.",
        signs: "The server owed its answer for a second or more, or for ten times what it usually takes \
            there, its kernel had acknowledged the question (`acknowledged_ns`, where that was seen), and the answer came.",
        against: "Others that stall with it: then it is \
            [`server_threads_exhausted`](#server_threads_exhausted). Packets that were sent again.",
        confirm: "XEvent `process_login_finish` and the connectivity ring buffer: a long *enqueue* time \
            says that the task waited for a worker; a short total says that the time passed in front \
            of SQL Server.",
        mend: "Look at the host's processors and at what was restarted at that moment. Take a proxy out \
            of the way to see whether it is the one.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    symptoms
        .server_stall()
        .filter(|stall| stall.phase == PhaseName::Prelogin)?;
    Found::slow_server(symptoms, PhaseName::Prelogin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::diagnosis::{
        symptoms::Who,
        tests::{fits, misses, slow},
    };

    #[test]
    fn a_server_that_is_slow_there_towards_this_login_alone_is_told() {
        let mut login = slow(PhaseName::Prelogin, Who::Server);
        assert!(fits(&CAUSE, &login) >= 0.7);
        login.around.stalled = 8;
        assert!(fits(&CAUSE, &login) < 0.5, "it is not alone");
    }

    #[test]
    fn a_slow_client_and_another_phase_are_not() {
        assert!(misses(&CAUSE, &slow(PhaseName::Prelogin, Who::Client)));
        assert!(misses(&CAUSE, &slow(PhaseName::Auth, Who::Server)));
    }
}
