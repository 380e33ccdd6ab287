//! No answer to authentication until somebody leaves.

use crate::{
    record::{Outcome, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "domain_controller_unreachable",
    whom: Some(Whom::Identity),
    meaning: "the domain controller does not answer",
    seen: "the server acknowledged the client's token and did not answer it for {waited_ns}[, with \
           {stalled_with_it} others waiting]",
    fits,
    page: Page {
        means: "SQL Server's host asks a domain controller that does not answer: the controller is down, \
            its ports (88, 135, 389, 445 and high RPC ports) are blocked, or the secure channel is \
            broken.",
        signs: "NTLM, the client's last token was acknowledged, and no reply came until somebody left.",
        against: "Others that are answered meanwhile, in steps: then it is a queue.",
        confirm: "On SQL Server's host `nltest /sc_verify:DOMAIN`, `Test-ComputerSecureChannel`, \
            Netlogon's events 5719 and 5783; SYNs of the host to the controller's ports without an \
            answer.",
        mend: "Open the ports, let DNS name living controllers only, repair the secure channel. Give \
            SQL authentication to what must log in meanwhile.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms.controller_stall()?;
    if !symptoms.stopped_at(stall.phase) || symptoms.ended_as(&[Outcome::Failed]) {
        return None;
    }
    let around = &symptoms.around;
    let confidence = match () {
        // Somebody is answered.
        () if around.steps >= 2 => 0.4,
        () if symptoms.is_pending() => 0.6,
        () if around.stalled >= 2 => 0.85,
        () => 0.8,
    };
    Some(
        Found::at(confidence * symptoms.controller_share())
            .counted("stalled_with_it", around.stalled)
            .counted("in_flight", around.in_flight),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{PhaseName, Side},
        session::diagnosis::{
            symptoms::Who,
            tests::{ended, fits, misses, ntlm, slow},
        },
    };

    #[test]
    fn a_token_that_is_never_answered_waits_for_a_controller_that_is_not_there() {
        let auth = ntlm();
        let mut login = ended(Outcome::Timeout, PhaseName::Auth, Side::Client);
        assert!(misses(&CAUSE, &login), "who authenticates is not known");
        login.auth = Some(&auth);
        assert!(fits(&CAUSE, &login) >= 0.8);
        login.around.steps = 4;
        assert!(fits(&CAUSE, &login) < 0.5, "others are answered");
    }

    #[test]
    fn one_that_was_answered_late_was_not() {
        let auth = ntlm();
        let mut login = slow(PhaseName::Auth, Who::Server);
        login.auth = Some(&auth);
        assert!(misses(&CAUSE, &login));
    }
}
