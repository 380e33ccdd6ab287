//! TDS 8.0 towards a server that has no certificate for it.

use crate::{
    record::{Encryption, Side, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "strict_without_certificate",
    whom: Some(Whom::Database),
    meaning: "the server has no certificate for TDS 8.0",
    seen: "the client began with TLS, and the server ended the connection[, saying {alert}]",
    fits,
    page: Page {
        means: "The client wants TDS 8.0, the server could speak it, but has no certificate of its own: \
            the self-made one does not serve there.",
        signs: "TLS before any TDS, and the server's end instead of its hello; with an alert it is \
            surer.",
        against: "On the wire it is like a server that does not know TDS 8.0 \
            ([`not_strict_server`](#not_strict_server)), which is told as more likely.",
        confirm: "SQL Server's error log: 17821, and at its start 26014 or *a self-generated certificate \
            was successfully loaded* (26018). `SELECT SERVERPROPERTY('ProductMajorVersion')`: 16 or \
            later.",
        mend: "Configure a certificate, or `Encrypt=mandatory`.",
        reports: &["microsoft/mssql-docker#878"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let strict = symptoms
        .tds
        .is_some_and(|tds| tds.encryption == Some(Encryption::Strict));
    let left = symptoms.tls_left_by(Side::Server) && !symptoms.hello_was_answered();
    let said = symptoms.alert_from(Side::Server);
    if !strict || !left {
        return None;
    }
    // The same as of a server that does not know TDS 8.0, but for an alert: that one knows TLS.
    let confidence = match said {
        Some("internal_error" | "handshake_failure") => 0.75,
        Some(_) => return None,
        None => 0.45,
    };
    Some(Found::at(confidence).with("alert", said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Alert, Outcome, PhaseName, Tds, Tls},
        session::diagnosis::tests::{ended, fits, misses},
    };

    #[test]
    fn a_server_that_leaves_may_lack_a_certificate_and_one_that_says_so_in_tls_does() {
        let strict = Tds {
            encryption: Some(Encryption::Strict),
            ..Tds::default()
        };
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Server);
        assert!(misses(&CAUSE, &left), "TLS inside TDS 7");
        left.tds = Some(&strict);
        assert!(fits(&CAUSE, &left) < 0.5);
        let alert = Tls {
            alert: Some(Alert {
                from: Side::Server,
                level: None,
                description: Some("internal_error".into()),
            }),
            ..Tls::default()
        };
        left.tls = Some(&alert);
        assert!(fits(&CAUSE, &left) > 0.7);
    }
}
