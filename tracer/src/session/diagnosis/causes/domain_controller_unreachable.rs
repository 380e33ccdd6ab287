//! No answer to authentication until somebody leaves.

use crate::{
    record::{Outcome, PartKind, Whom},
    session::diagnosis::{
        Cause, Found, Page, Symptoms,
        questions::{Question, Questions},
        symptoms::Who,
        whole::Whole,
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "domain_controller_unreachable",
    whom: Some(Whom::Identity),
    meaning: "the domain controller does not answer",
    seen: "the client asked domain controllers for {controller_ns} in vain[, with {questions} questions]|the server {was_asked} and did not answer it for {waited_ns}[, with \
           {stalled_with_it} others waiting][, and reached none of the controllers that its host asked {controllers_unanswered} times]",
    fits,
    page: Page {
        means: "SQL Server's host asks a domain controller that does not answer: the controller is down, \
            its ports (88, 135, 389, 445 and high RPC ports) are blocked, or the secure channel is \
            broken. Or the client finds none where it wants a ticket.",
        signs: "NTLM, the client's last token was acknowledged, and no reply came until somebody left; the surer where \
            the server's host was seen to ask on ports 88, 135, 389 or 445 in vain, and less sure where it was \
            answered. Of a client: it was silent while each of its questions to port 88 or 389 went unanswered.",
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
    of_client(symptoms).or_else(|| of_server(symptoms))
}

/// Whether domain controllers were asked, and none has answered.
pub(super) fn are_in_vain(questions: &Questions<'_>) -> bool {
    let asked = of_controllers(questions);
    !asked.is_empty() && asked.all(Question::is_in_vain)
}

fn of_controllers<'a>(questions: &Questions<'a>) -> Questions<'a> {
    questions.filter(|one| matches!(one.kind, PartKind::Kdc | PartKind::Ldap))
}

/// The client has found none.
fn found(questions: &Questions<'_>) -> Option<Found> {
    let asked = of_controllers(questions);
    are_in_vain(questions).then(|| asked.support(Found::at(0.92), "controller_ns"))
}

fn of_client(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms.stalled_by(Who::Client)?;
    let questions = symptoms.questions();
    let took = of_controllers(&questions).took();
    found(&questions).filter(|_| took >= stall.took / 5 * 2)
}

/// How well it fits an attempt.
pub(super) fn fits_attempt(whole: &Whole<'_>) -> Option<Found> {
    let questions = whole.questions();
    let took = of_controllers(&questions).took();
    found(&questions).filter(|_| whole.is_felt(took))
}

fn of_server(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms.controller_stall()?;
    if !symptoms.stopped_at(stall.phase) || symptoms.ended_as(&[Outcome::Failed]) {
        return None;
    }
    let around = &symptoms.around;
    let controllers = symptoms.controllers;
    let confidence = match () {
        // Somebody is answered.
        () if around.steps >= 2 => 0.4,
        () if controllers.unanswered > 0 && controllers.reached == 0 => 0.95,
        () if controllers.unanswered == 0 && controllers.reached > 0 => 0.5,
        () if symptoms.is_pending() => 0.6,
        () if around.stalled >= 2 => 0.85,
        () => 0.8,
    };
    Some(
        Found::at(confidence * symptoms.controller_share())
            .counted("stalled_with_it", around.stalled)
            .counted("in_flight", around.in_flight)
            .counted("controllers_unanswered", controllers.unanswered),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{PhaseName, ServiceOutcome, Side},
        session::{
            diagnosis::{
                causes::kdc_slow,
                questions::samples::asked,
                tests::{ended, fits, misses, ntlm, slow},
            },
            services::Controllers,
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
    fn what_the_servers_host_asks_of_controllers_makes_it_surer_or_less() {
        let auth = ntlm();
        let mut login = ended(Outcome::Timeout, PhaseName::Auth, Side::Client);
        login.auth = Some(&auth);
        login.controllers.unanswered = 2;
        assert!(fits(&CAUSE, &login) > 0.9);
        login.controllers = Controllers {
            unanswered: 0,
            reached: 2,
        };
        assert!(fits(&CAUSE, &login) < 0.6);
    }

    #[test]
    fn a_client_that_no_controller_answers_waits_for_one_that_is_not_there() {
        let silent = [asked(PartKind::Kdc, ServiceOutcome::Unanswered, (0, 4))];
        let mut login = slow(PhaseName::Login, Who::Client);
        login.beside = &silent;
        assert!(fits(&CAUSE, &login) > 0.9);
        assert!(misses(&kdc_slow::CAUSE, &login));
        let answered = asked(PartKind::Kdc, ServiceOutcome::Answered, (2, 4));
        let one_of_two = [silent[0].clone(), answered];
        login.beside = &one_of_two;
        assert!(misses(&CAUSE, &login));
        assert!(fits(&kdc_slow::CAUSE, &login) > 0.9);
    }

    #[test]
    fn one_that_was_answered_late_was_not() {
        let auth = ntlm();
        let mut login = slow(PhaseName::Auth, Who::Server);
        login.auth = Some(&auth);
        assert!(misses(&CAUSE, &login));
    }
}
