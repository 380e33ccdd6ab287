//! The server ends while it owes the answer to a login, without an ERROR.

use crate::{
    record::{AuthKind, Outcome, PhaseName, Side, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "closed_without_error",
    whom: Some(Whom::Identity),
    meaning: "the server ended the login without saying why",
    seen: "the server ended the connection {after_ns} after the last message, without an error",
    fits,
    page: Page {
        means: "The server ended the connection in answer to a login instead of refusing it by an ERROR \
            token: its security layer did not like an SSPI token, a proxy has lost its backend, or \
            SQL Server itself broke off.",
        signs: "A FIN or RST of the server while it owed the answer to LOGIN7 or an SSPI message.",
        against: "A Kerberos ticket ([`kerberos_rejected`](#kerberos_rejected)); a RST from elsewhere \
            ([`middlebox_reset`](#middlebox_reset)); a long wait before.",
        confirm: "The error log of that second: 17806, 17828, 17832 (a login packet that makes no sense), \
            17836, dumps. XEvent `connectivity_ring_buffer_recorded` names the SNI error.",
        mend: "As the log says. Where it says nothing, look at what lies in front of SQL Server.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let ended = symptoms.ended.filter(|ended| ended.by == Side::Server)?;
    let phase = symptoms.stopped_in()?;
    let dropped = symptoms.ended_as(&[Outcome::Reset, Outcome::Closed]);
    let placed = matches!(phase, PhaseName::Login | PhaseName::Auth);
    if !dropped || !placed || symptoms.owed_by == Some(Side::Client) {
        return None;
    }
    let kerberos = matches!(symptoms.auth_kind(), AuthKind::Kerberos | AuthKind::Spnego);
    let confidence = match () {
        () if kerberos || ended.foreign => 0.4,
        // Something else made it wait first.
        () if ended.after >= symptoms.slow => 0.5,
        () => 0.75,
    };
    let found = Found::at(confidence).with("reset", ended.reset);
    Some(found.took("after_ns", ended.after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::diagnosis::tests::{ended, fits, misses};

    #[test]
    fn a_server_that_ends_instead_of_answering_a_login_does_not_say_why() {
        let mut reset = ended(Outcome::Reset, PhaseName::Login, Side::Server);
        reset.ended.as_mut().expect("an end").after = 2_000_000;
        assert!(fits(&CAUSE, &reset) > 0.7);
        reset.owed_by = Some(Side::Client);
        assert!(misses(&CAUSE, &reset), "it was the client's turn");
        let early = ended(Outcome::Reset, PhaseName::Prelogin, Side::Server);
        assert!(misses(&CAUSE, &early));
    }
}
