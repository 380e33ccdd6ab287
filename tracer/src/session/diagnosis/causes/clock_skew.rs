//! The client's clock and the domain's are too far apart.

use crate::{
    kerberos::code,
    record::Whom,
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "clock_skew",
    whom: Some(Whom::Identity),
    meaning: "the client's clock and the domain controller's are too far apart for Kerberos",
    seen: "the Kerberos server gave no ticket because of the clock (KRB-ERROR {error_code})",
    fits,
    page: Page {
        means: "A ticket is asked for with the time of day in it. The client's clock is more than five minutes from the \
            domain controller's, and it gets none (KRB-ERROR 37, `KRB_AP_ERR_SKEW`).",
        signs: "KRB-ERROR 37 in answer to the client's process just before or during its login.",
        against: "A client that asks again with the controller's time, as MIT's does, may get its ticket all the same.",
        confirm: "`chronyc tracking`, `timedatectl`, on Windows `w32tm /stripchart /computer:DC`; the clock of the \
            hypervisor that a machine takes its own from.",
        mend: "Synchronise both with one source of time; mend the machine that is wrong, which need not be the client.",
        reports: &["Devolutions/sspi-rs#83"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let questions = symptoms.questions();
    let mut refusals = questions.refusals();
    let is_one = refusals.any(|refusal| refusal.code == code::CLOCK_SKEW);
    is_one.then(|| {
        Found::at(0.95)
            .with("error_code", code::CLOCK_SKEW)
            .finding()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, PhaseName, Side},
        session::diagnosis::{
            questions::samples::refused,
            tests::{ended, fits, misses},
        },
    };

    #[test]
    fn a_ticket_that_is_refused_for_the_clock_is_why() {
        let asked = [refused(code::CLOCK_SKEW, "sql1.lab.test:1433")];
        let mut login = ended(Outcome::Aborted, PhaseName::Login, Side::Client);
        assert!(misses(&CAUSE, &login));
        login.beside = &asked;
        assert!(fits(&CAUSE, &login) > 0.9);
    }
}
