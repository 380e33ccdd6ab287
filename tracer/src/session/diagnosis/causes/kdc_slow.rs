//! The client waits for a ticket.

use super::domain_controller_unreachable;
use crate::{
    record::{PartKind, Whom},
    session::diagnosis::{
        Cause, Found, Page, Symptoms, questions::Questions, symptoms::Who, whole::Whole,
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "kdc_slow",
    whom: Some(Whom::Identity),
    meaning: "the client waited for its Kerberos ticket",
    seen: "the client waited {kdc_ns} for the Kerberos server[, in {questions} questions][, {unanswered_questions} of them in vain]",
    fits,
    page: Page {
        means: "Before it can log in the client asks a domain controller (KDC) for a ticket. The controller was slow, \
            far away, or the first ones that were asked did not answer and another one did.",
        signs: "The process of the client, in a capture its address, asked port 88 for two fifths or more of the time \
            that the client or the whole attempt took, and that was a second or longer.",
        against: "Nobody answered at all: see [`domain_controller_unreachable`](#domain_controller_unreachable). A \
            client that has its ticket already asks nobody.",
        confirm: "On the client `KRB5_TRACE=/dev/stderr kvno MSSQLSvc/host:port`; on Windows `klist purge`, then \
            `klist get MSSQLSvc/host:port`; `nltest /dsgetdc:DOMAIN` says which controller is asked.",
        mend: "Take controllers that are gone out of DNS and `krb5.conf`; let sites and subnets name a near one; keep \
            tickets from one login to the next instead of fetching one for each process.",
        reports: &["dotnet/SqlClient#2204", "dotnet/Kerberos.NET#405"],
    },
};

fn found(questions: &Questions<'_>) -> Option<Found> {
    let asked = questions.of(PartKind::Kdc);
    let in_vain = domain_controller_unreachable::are_in_vain(questions);
    (!asked.is_empty() && !in_vain).then(|| asked.support(Found::at(0.92), "kdc_ns"))
}

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms.stalled_by(Who::Client)?;
    let questions = symptoms.questions();
    let took = questions.of(PartKind::Kdc).took();
    found(&questions).filter(|_| took >= stall.took / 5 * 2)
}

/// How well it fits an attempt.
pub(super) fn fits_attempt(whole: &Whole<'_>) -> Option<Found> {
    let questions = whole.questions();
    let took = questions.of(PartKind::Kdc).took();
    found(&questions).filter(|_| whole.is_felt(took))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{PhaseName, ServiceOutcome},
        session::diagnosis::{
            questions::samples::asked,
            tests::{fits, misses, slow},
        },
    };

    #[test]
    fn a_client_that_is_silent_while_it_asks_for_a_ticket_waits_for_it() {
        let answered = ServiceOutcome::Answered;
        let late = [asked(PartKind::Kdc, answered, (0, 4))];
        let quick = [asked(PartKind::Kdc, answered, (0, 0))];
        let mut login = slow(PhaseName::Login, Who::Client);
        assert!(misses(&CAUSE, &login), "nobody was asked");
        login.beside = &late;
        assert!(fits(&CAUSE, &login) > 0.9);
        login.beside = &quick;
        assert!(misses(&CAUSE, &login));
        let mut server = slow(PhaseName::Login, Who::Server);
        server.beside = &late;
        assert!(misses(&CAUSE, &server), "the server was waited for");
    }
}
