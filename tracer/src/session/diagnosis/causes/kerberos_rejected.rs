//! The server ends after a Kerberos ticket, without an ERROR.

use crate::{
    record::{AuthKind, Outcome, PartKind, PhaseName, Side, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms, questions::Question},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "kerberos_rejected",
    whom: Some(Whom::Identity),
    meaning: "the security layer refused the Kerberos ticket",
    seen: "the server ended the connection {after_ns} after the ticket[, which came in answer to {questions} questions \
           of the client to the Kerberos server], without an error",
    fits,
    page: Page {
        means: "The server's security layer could not use the client's Kerberos ticket: it was made for \
            another account (a doubled or wrong SPN), clocks differ, or channel bindings do not fit. \
            MS-TDS lets the server close without an ERROR then.",
        signs: "A FIN or RST of the server in answer to LOGIN7 or an SSPI message, Kerberos or SPNEGO, \
            no ERROR token. Inside TLS nobody sees the ticket: there its process had just got one.",
        against: "A long silence before; a client that has to speak next. A RST that came another way than the server's packets. An ERROR token: then see \
            [`login_rejected`](#login_rejected).",
        confirm: "`setspn -L` and `setspn -X` for `MSSQLSvc/…`; in the error log 17806 with an SSPI code \
            (0x8009030c, 0x80090346 for channel bindings); `klist get MSSQLSvc/host:port` on the \
            client.",
        mend: "Register the SPN for the account that SQL Server runs as, once. Mend clocks. See to it \
            that client and server agree on *Extended Protection*.",
        reports: &[
            "dotnet/SqlClient#3954",
            "dotnet/SqlClient#2394",
            "dotnet/Kerberos.NET#405",
        ],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let ended = symptoms
        .ended
        .filter(|ended| ended.by == Side::Server && !ended.foreign)?;
    let phase = symptoms.stopped_in()?;
    let dropped = symptoms.ended_as(&[Outcome::Reset, Outcome::Closed]);
    let placed = matches!(phase, PhaseName::Login | PhaseName::Auth);
    let tickets = symptoms.questions().of(PartKind::Kdc);
    let tickets = tickets.filter(Question::is_answered).count();
    let sure = match symptoms.auth_kind() {
        AuthKind::Kerberos => 0.8,
        AuthKind::Spnego => 0.6,
        AuthKind::Unknown if tickets > 0 => 0.78,
        _ => return None,
    };
    // It owed nothing where the client was to speak, and what refuses a ticket does not think for long.
    let owes = symptoms.owed_by != Some(Side::Client);
    let sure = match () {
        () if ended.after >= symptoms.slow => 0.5,
        () => sure,
    };
    (dropped && placed && owes && symptoms.errors.is_empty()).then(|| {
        Found::at(sure)
            .took("after_ns", ended.after)
            .counted("questions", tickets)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Auth, ServiceOutcome},
        session::diagnosis::{
            questions::samples::asked,
            tests::{ended, fits, misses},
        },
    };

    #[test]
    fn an_end_without_a_word_after_a_ticket_is_the_security_layers() {
        let auth = Auth {
            kind: AuthKind::Kerberos,
            ..Auth::default()
        };
        let mut closed = ended(Outcome::Closed, PhaseName::Login, Side::Server);
        closed.ended.as_mut().expect("an end").after = 2_000_000;
        assert!(misses(&CAUSE, &closed), "no ticket");
        closed.auth = Some(&auth);
        assert!(fits(&CAUSE, &closed) >= 0.8);
        closed.ended.as_mut().expect("an end").after = closed.slow;
        assert!(fits(&CAUSE, &closed) <= 0.5, "it was silent before");
        closed.owed_by = Some(Side::Client);
        assert!(misses(&CAUSE, &closed), "it was the client's turn");
        closed.owed_by = Some(Side::Server);
        closed.ended = None;
        assert!(misses(&CAUSE, &closed));
    }

    #[test]
    fn inside_tls_who_has_just_got_a_ticket_has_brought_one() {
        let ticket = [asked(PartKind::Kdc, ServiceOutcome::Answered, (0, 0))];
        let none = [asked(PartKind::Kdc, ServiceOutcome::Unanswered, (0, 0))];
        let unknown = Auth::default();
        let mut closed = ended(Outcome::Closed, PhaseName::Login, Side::Server);
        closed.ended.as_mut().expect("an end").after = 2_000_000;
        closed.auth = Some(&unknown);
        closed.beside = &ticket;
        assert!(fits(&CAUSE, &closed) > 0.75);
        closed.beside = &none;
        assert!(misses(&CAUSE, &closed), "there was none to be had");
        let password = Auth {
            kind: AuthKind::Sql,
            ..Auth::default()
        };
        closed.beside = &ticket;
        closed.auth = Some(&password);
        assert!(misses(&CAUSE, &closed), "it was not for this");
    }
}
