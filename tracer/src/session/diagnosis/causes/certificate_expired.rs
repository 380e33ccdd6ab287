//! The client leaves over a certificate out of its time.

use crate::{
    record::{Side, Timestamp, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms, symptoms::SECOND},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "certificate_expired",
    whom: Some(Whom::Database),
    meaning: "the certificate is not valid at this time",
    seen: "the client left over the certificate[, which was valid until {not_after}][, which is \
           valid from {not_before}][, saying {alert}]",
    fits,
    page: Page {
        means: "The server's certificate has expired, or is not valid yet, and the client left over it.",
        signs: "The client's alert `certificate_expired`, or its end after a certificate whose time is \
            over (in clear up to TLS 1.2).",
        against: "A client that went on: it does not check.",
        confirm: "`tls.certificate.not_after`; on the server the store `Cert:\\LocalMachine\\My`. A client \
            whose clock is wrong sees a good certificate as expired.",
        mend: "Renew the certificate, give SQL Server's account the right to read its key, restart the \
            service.",
        reports: &["MicrosoftDocs/sql-docs#8845"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let said = symptoms.alert_from(Side::Client) == Some("certificate_expired");
    if said {
        return Some(Found::at(0.97).with("alert", "certificate_expired"));
    }
    // Another alert says another reason.
    let alert = symptoms.alert_from(Side::Client).unwrap_or("");
    let vague = ["", "bad_certificate", "certificate_unknown"].contains(&alert);
    let certificate = symptoms.certificate()?;
    let over = certificate
        .not_after
        .filter(|end| end.is_before(symptoms.at));
    // Moments of certificates are whole seconds.
    let within = Timestamp(symptoms.at.0.saturating_add(SECOND));
    let early = certificate
        .not_before
        .filter(|start| !start.is_before(within));
    let wrong = symptoms.left_over_certificate() && (over.is_some() || early.is_some());
    wrong.then(|| {
        Found::at(if vague { 0.93 } else { 0.5 })
            .with("not_after", over)
            .with("not_before", early)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Calendar, Certificate, Outcome, PhaseName, Timestamp},
        session::diagnosis::{
            symptoms::{SECOND, Who},
            tests::{certificate, ended, fits, left_tls, misses, slow},
        },
    };

    #[test]
    fn a_client_that_leaves_over_a_certificate_of_last_year_minds_the_date() {
        let expired = Certificate {
            not_after: Calendar::from_unix_seconds(1_000),
            ..certificate()
        };
        let tls = left_tls(expired, None);
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Client);
        left.tls = Some(&tls);
        left.at = Timestamp(2_000 * SECOND);
        assert!(fits(&CAUSE, &left) > 0.9);
        left.at = Timestamp(500 * SECOND);
        assert!(misses(&CAUSE, &left), "it was good then");
    }

    #[test]
    fn a_certificate_that_was_made_in_this_second_is_good() {
        let made = Certificate {
            not_before: Calendar::from_unix_seconds(2_000),
            ..certificate()
        };
        let tls = left_tls(made, None);
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Client);
        left.tls = Some(&tls);
        left.at = Timestamp(2_000 * SECOND + 3);
        assert!(misses(&CAUSE, &left));
        left.at = Timestamp(1_999 * SECOND + 3);
        assert!(fits(&CAUSE, &left) > 0.9, "it is not valid yet");
    }

    #[test]
    fn an_expired_certificate_that_is_taken_does_no_harm() {
        let expired = Certificate {
            not_after: Calendar::from_unix_seconds(1_000),
            ..certificate()
        };
        let tls = left_tls(expired, None);
        let mut login = slow(PhaseName::Login, Who::Server);
        login.tls = Some(&tls);
        login.at = Timestamp(2_000 * SECOND);
        assert!(misses(&CAUSE, &login));
    }
}
