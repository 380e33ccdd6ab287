//! Encryption was asked for, and the login went in clear.

use crate::{
    record::{Encryption, EncryptionOption, PhaseName, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "encryption_downgraded",
    whom: Some(Whom::Application),
    meaning: "the login went in the clear though encryption was asked for",
    seen: "the client asked for encryption, the server answered {encryption_answered}, and the client \
           logged in without it all the same",
    fits,
    page: Page {
        means: "The client asked for encryption (`on` or `req`), the server answered that it has none \
            (`not_sup`), and the client sent its login in the clear all the same: password and data \
            were readable on the way. After any other answer it should not have either: then \
            something on the way may have changed what was said. This is a finding, not a delay: it is told of fast logins too.",
        signs: "PRELOGIN's two ENCRYPTION values, and a LOGIN7 outside TLS.",
        against: "A client that leaves at the answer, as it should.",
        confirm: "`tds.encryption_asked`, `tds.encryption_answered`, `tds.encryption`; on the server \
            `encrypt_option` of `sys.dm_exec_connections`.",
        mend: "Give the server encryption (SQL Server always has it: what answers so is a proxy or \
            another program); a driver that insists. Change passwords that went that way.",
        reports: &["r2dbc/r2dbc-mssql#324"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    use EncryptionOption::{ClientCertOn, ClientCertReq, NotSup, On, Req};
    let tds = symptoms.tds?;
    let asked = tds.encryption_asked?;
    let wanted = matches!(asked, On | Req | ClientCertOn | ClientCertReq);
    let answered = tds.encryption_answered?;
    // TLS that was not seen may lie between another answer and the login.
    let seen = answered == NotSup || !symptoms.partial;
    let went_on = seen && symptoms.auth.is_some();
    // Who leaves at the answer has told nobody a password.
    let clear = matches!(tds.encryption, Some(Encryption::None | Encryption::Refused));
    let login = symptoms.part(PhaseName::Login).is_some();
    (wanted && went_on && clear && login && symptoms.tls.is_none()).then(|| {
        Found::at(0.95)
            .with("encryption_asked", asked)
            .with("encryption_answered", answered)
            .finding()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Auth, Outcome, Side, Tds},
        session::diagnosis::{
            symptoms::Who,
            tests::{ended, misses, slow},
        },
    };

    fn tds(asked: EncryptionOption) -> Tds {
        Tds {
            encryption: Some(Encryption::None),
            encryption_asked: Some(asked),
            encryption_answered: Some(EncryptionOption::NotSup),
            ..Tds::default()
        }
    }

    #[test]
    fn a_login_in_clear_of_a_client_that_asked_for_more_is_told_however_fast_it_was() {
        let (asked, not) = (tds(EncryptionOption::On), tds(EncryptionOption::Off));
        let auth = Auth::default();
        let mut login = slow(PhaseName::Login, Who::Client);
        (login.tds, login.auth) = (Some(&asked), Some(&auth));
        let found = fits(&login).expect("a finding");
        assert!(found.is_finding && found.confidence > 0.9);
        login.tds = Some(&not);
        assert!(misses(&CAUSE, &login), "it did not ask");
        let other = Tds {
            encryption_answered: Some(EncryptionOption::Off),
            ..tds(EncryptionOption::Req)
        };
        login.tds = Some(&other);
        assert!(fits(&login).is_some(), "whatever the answer");
        login.partial = true;
        assert!(misses(&CAUSE, &login), "TLS may not have been seen");
    }

    #[test]
    fn a_client_that_left_at_the_answer_lost_nothing() {
        let asked = tds(EncryptionOption::On);
        let mut left = ended(Outcome::Aborted, PhaseName::Prelogin, Side::Client);
        left.tds = Some(&asked);
        assert!(misses(&CAUSE, &left));
    }
}
