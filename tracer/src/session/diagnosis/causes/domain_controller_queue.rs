//! Logins wait for each other at the domain controller.

use crate::{
    record::Whom,
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "domain_controller_queue",
    whom: Some(Whom::Identity),
    meaning: "NTLM logins queue for the domain controller",
    seen: "the server answered the client's token after {waited_ns}[, with {ahead_of_it} others \
           waiting before it][ and {in_flight} under way]",
    fits,
    page: Page {
        means: "Netlogon on SQL Server's host asks its domain controller about only a few logins at a \
            time (`MaxConcurrentApi`: 10, of old hosts 2). The others wait in line, and are answered \
            one after the other.",
        signs: "NTLM, others waited when this login asked (`ahead_of_it`), their answers came in steps \
            while it waited, and waits grow with those ahead.",
        against: "Waits that are alike under any load; answers in no order, or sooner one after the \
            other than they could be where a few are asked about at a time. Kerberos and SQL authentication do not queue there.",
        confirm: "On SQL Server's host the counters *Netlogon: Semaphore Waiters*, *Semaphore Timeouts*, \
            *Average Semaphore Hold Time*; events 5816 to 5819 of Netlogon in the system log.",
        mend: "Kerberos instead of NTLM (register the SPNs); raise `MaxConcurrentApi` on SQL Server's \
            host and on the controllers; pool connections; find who floods the controller.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms.controller_stall()?;
    let around = &symptoms.around;
    let grows = around.alike.count >= 3 && around.alike.most / 2 >= around.alike.least;
    let confidence = match (around.steps, around.ahead) {
        (2.., 1..) if symptoms.queues() && around.is_mixed() => 0.65,
        (3.., 2..) if symptoms.queues() => 0.85,
        (2.., 1..) if symptoms.queues() => 0.75,
        // The first that waits behind another one.
        (1, 1..) if symptoms.queues() => 0.65,
        (_, 2..) if grows => 0.65,
        // Who was alone waited as long, or nobody was ahead.
        _ => return None,
    };
    let open = symptoms.stopped_at(stall.phase);
    let confidence = if open { confidence - 0.1 } else { confidence };
    Some(
        Found::at(confidence * symptoms.controller_share())
            .with("ahead_of_it", around.ahead)
            .counted("answered_before_it", around.steps)
            .counted("in_flight", around.in_flight)
            .took("least_ns", around.alike.least)
            .took("most_ns", around.alike.most),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Auth, AuthKind, PhaseName},
        session::diagnosis::{
            Spread,
            symptoms::Who,
            tests::{fits, misses, ntlm, slow},
        },
    };

    #[test]
    fn answers_one_after_the_other_to_those_ahead_are_a_queue() {
        let auth = ntlm();
        let mut login = slow(PhaseName::Auth, Who::Server);
        login.auth = Some(&auth);
        assert!(misses(&CAUSE, &login), "nobody is ahead");
        (login.around.steps, login.around.ahead) = (6, 7);
        assert!(fits(&CAUSE, &login) > 0.8);
    }

    #[test]
    fn the_first_that_waits_behind_another_one_waits_longer_than_that_one_did() {
        let auth = ntlm();
        let mut login = slow(PhaseName::Auth, Who::Server);
        login.auth = Some(&auth);
        (login.around.steps, login.around.ahead) = (1, 1);
        assert!(
            misses(&CAUSE, &login),
            "how long one alone waits is not known"
        );
        let took = login.worst().expect("a wait").took;
        let alone = |most| Spread {
            count: 1,
            least: most,
            most,
        };
        login.around.alone = alone(took / 2);
        assert!(fits(&CAUSE, &login) > 0.6);
        login.around.alone = alone(took);
        assert!(misses(&CAUSE, &login), "who is alone waits as long");
    }

    #[test]
    fn passwords_of_sql_server_itself_queue_elsewhere() {
        let auth = Auth {
            kind: AuthKind::Sql,
            ..Auth::default()
        };
        let mut login = slow(PhaseName::Auth, Who::Server);
        login.auth = Some(&auth);
        (login.around.steps, login.around.ahead) = (6, 7);
        assert!(misses(&CAUSE, &login));
    }
}
