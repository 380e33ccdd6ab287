//! Every login waits alike for the domain controller.

use crate::{
    record::Whom,
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "domain_controller_slow",
    whom: Some(Whom::Identity),
    meaning: "the domain controller is slow",
    seen: "the server answered the client's token after {waited_ns}[, with {ahead_of_it} others \
           waiting before it]",
    fits,
    page: Page {
        means: "To check an NTLM login SQL Server's host asks a domain controller (Netlogon). That one \
            takes long, for every login alike.",
        signs: "NTLM, the time is the server's between the client's last token and the reply; the last \
            logins of that kind waited about as long, one at a time or many.",
        against: "Waits that grow with those ahead \
            ([`domain_controller_queue`](#domain_controller_queue)); waits that are the same to a \
            few per cent ([`domain_controller_far`](#domain_controller_far)). One login alone does \
            not tell these apart.",
        confirm: "On SQL Server's host: `nltest /sc_query:DOMAIN` (which controller), Netlogon's log \
            (`nltest /dbflag:0x2080ffff`), counters *Netlogon: Average Semaphore Hold Time*. In the \
            ring buffer and `process_login_finish` a long *SSPI* time. On the controller: \
            processors, disk, LDAP searches.",
        mend: "Mend or relieve that controller; let the site's subnets name a near one; use Kerberos, \
            which asks no controller at login.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms.controller_stall()?;
    if symptoms.stopped_at(stall.phase) {
        return None;
    }
    let around = &symptoms.around;
    let confidence = match () {
        // They wait for each other.
        () if symptoms.queues() => 0.35,
        () if around.alike.count >= 3 && around.alike.is_within(0.35) => 0.75,
        // Whoever waits alone waits for nobody else.
        () if around.alone.count >= 2 => 0.7,
        () => 0.6,
    };
    Some(
        Found::at(confidence * symptoms.controller_share())
            .with("alike", around.alike.count)
            .took("least_ns", around.alike.least)
            .took("most_ns", around.alike.most)
            .counted("ahead_of_it", around.ahead),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::PhaseName,
        session::diagnosis::{
            Spread,
            symptoms::{SECOND, Who},
            tests::{fits, misses, ntlm, slow},
        },
    };

    #[test]
    fn waits_that_are_alike_whatever_the_load_are_the_controllers_own() {
        let auth = ntlm();
        let mut login = slow(PhaseName::Auth, Who::Server);
        assert!(misses(&CAUSE, &login), "who authenticates is not known");
        login.auth = Some(&auth);
        assert!(fits(&CAUSE, &login) >= 0.6);
        login.around.alike = Spread {
            count: 6,
            least: 4 * SECOND,
            most: 5 * SECOND,
        };
        assert!(fits(&CAUSE, &login) > 0.7);
    }

    #[test]
    fn answers_that_come_one_after_the_other_are_a_queue() {
        let auth = ntlm();
        let mut login = slow(PhaseName::Auth, Who::Server);
        login.auth = Some(&auth);
        (login.around.steps, login.around.ahead) = (6, 6);
        assert!(fits(&CAUSE, &login) < 0.4);
    }
}
