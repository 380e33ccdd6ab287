//! The client leaves over the server's certificate.

use crate::{
    record::{Side, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms, symptoms::Who},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "certificate_rejected",
    whom: Some(Whom::Application),
    meaning: "the client does not trust the certificate",
    seen: "the client left right after the certificate[ of {subject}][{self_signed?}, which signed \
           itself][, saying {alert}]",
    fits,
    page: Page {
        means: "The client ended TLS right after the server showed its certificate: nobody that it \
            trusts has issued it. SQL Server without a certificate of its own makes one itself \
            (`SSL_Self_Signed_Fallback`), which nobody trusts.",
        signs: "The client's alert about certificates, or its end with no alert or a sealed one, after \
            the server's hello; or after the handshake, where LOGIN7 is due: some drivers look at the \
            certificate then.",
        against: "An alert about something else; a server that ends; a certificate that is expired, of \
            another name or of a negative serial number has a page of its own.",
        confirm: "The driver's message (`certificate chain was issued by an authority that is not \
            trusted`); `openssl s_client -connect host:port` for TDS 8.0; on the server *SQL Server \
            Configuration Manager*, *Protocols*, *Certificate*.",
        mend: "Give SQL Server a certificate of an authority that clients trust, or its authority to \
            the clients. `TrustServerCertificate=true` only where nobody can get in between.",
        reports: &["microsoft/go-sqlcmd#755"],
    },
};

/// Alerts about a certificate (RFC 8446 section 6.2).
const ALERTS: [&str; 6] = [
    "bad_certificate",
    "unsupported_certificate",
    "certificate_revoked",
    "certificate_unknown",
    "unknown_ca",
    "access_denied",
];

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    if !symptoms.left_over_certificate() {
        return None;
    }
    let confidence = match symptoms.alert_from(Side::Client) {
        Some("unknown_ca" | "certificate_revoked") => 0.92,
        Some(alert) if ALERTS.contains(&alert) => 0.8,
        // Sealed, or none: what was wrong is not said.
        Some("") | None => 0.7,
        Some(_) => return None,
    };
    // It looked at something else for long.
    let waited = symptoms.stalled_by(Who::Client).is_some();
    let confidence = if waited { confidence - 0.2 } else { confidence };
    let certificate = symptoms.certificate();
    Some(
        Found::at(confidence)
            .with(
                "alert",
                symptoms
                    .alert_from(Side::Client)
                    .filter(|alert| !alert.is_empty()),
            )
            .with(
                "subject",
                certificate.and_then(|certificate| certificate.subject.clone()),
            )
            .with(
                "issuer",
                certificate.and_then(|certificate| certificate.issuer.clone()),
            )
            .with(
                "self_signed",
                certificate.and_then(|certificate| certificate.self_signed),
            ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, PhaseName, Waited},
        session::diagnosis::tests::{certificate, ended, fits, left_tls, misses},
    };

    #[test]
    fn a_client_that_leaves_after_the_certificate_does_not_trust_it() {
        let certificate = certificate();
        let silent = left_tls(certificate.clone(), None);
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Client);
        left.tls = Some(&silent);
        assert!(fits(&CAUSE, &left) >= 0.7);
        let said = left_tls(certificate, Some("unknown_ca"));
        left.tls = Some(&said);
        assert!(fits(&CAUSE, &left) > 0.9);
    }

    #[test]
    fn a_driver_may_look_at_the_certificate_after_the_handshake() {
        let shown = left_tls(certificate(), None);
        let mut left = ended(Outcome::Aborted, PhaseName::Login, Side::Client);
        left.tls = Some(&shown);
        assert!(misses(&CAUSE, &left), "it waited for the server");
        left.parts.iter_mut().for_each(|part| {
            (part.duration, part.waited) = (1_000_000, Some(Waited::default()));
        });
        left.duration = 2_000_000;
        assert!(fits(&CAUSE, &left) >= 0.7);
        left.tls = None;
        assert!(misses(&CAUSE, &left));
    }

    #[test]
    fn an_alert_about_something_else_and_a_server_that_leaves_are_no_distrust() {
        let other = left_tls(certificate(), Some("protocol_version"));
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Client);
        left.tls = Some(&other);
        assert!(misses(&CAUSE, &left));
        let silent = left_tls(certificate(), None);
        let mut server = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Server);
        server.tls = Some(&silent);
        assert!(misses(&CAUSE, &server));
    }
}
