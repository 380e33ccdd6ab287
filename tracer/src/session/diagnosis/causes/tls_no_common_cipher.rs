//! No cipher suite, group or key that both sides take.

use crate::{
    record::{Outcome, Side, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "tls_no_common_cipher",
    whom: Some(Whom::Database),
    meaning: "client and server have no cipher in common",
    seen: "the TLS handshake ended with the alert {alert}",
    fits,
    page: Page {
        means: "Client and server found no cipher suite, no group for the key exchange or no kind of key \
            that both take: hardened settings on one side, an old program on the other; or the \
            server's certificate is of a kind that the client does not take.",
        signs: "The alert `handshake_failure` or `insufficient_security`.",
        against: "A ServerHello before the server's alert: a cipher was found. The alert \
            `protocol_version`; an end without an alert ([`client_hello_refused`](#client_hello_refused)).",
        confirm: "`tls.hello` (groups, signature algorithms, JA4) against the server's list: \
            `Get-TlsCipherSuite`, Schannel's events 36874 and 36888; on Linux `network.tlsciphers` \
            of `mssql-conf`.",
        mend: "Allow a common suite and group, with an ECDHE exchange and AES-GCM; a certificate with \
            an RSA key for old clients.",
        reports: &["openssl/openssl#28284"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    if !symptoms.ended_as(&[Outcome::TlsFailed]) {
        return None;
    }
    let alerts = [Side::Server, Side::Client].map(|side| symptoms.alert_from(side));
    // The server has chosen a suite then: whoever fails now does not take what else it was shown.
    let agreed = symptoms.hello_was_answered();
    let confidence = match alerts {
        [Some("handshake_failure" | "insufficient_security"), _] if agreed => return None,
        [_, Some("handshake_failure" | "illegal_parameter")] if agreed => 0.45,
        [_, Some("insufficient_security")] if agreed => 0.7,
        [Some("insufficient_security"), _] | [_, Some("insufficient_security")] => 0.92,
        [Some("handshake_failure"), _] => 0.8,
        [_, Some("handshake_failure" | "illegal_parameter")] => 0.65,
        _ => return None,
    };
    let hello = symptoms.hello();
    Some(
        Found::at(confidence)
            .with("alert", alerts.into_iter().flatten().next())
            .with("groups", hello.map(|hello| &hello.groups))
            .with("cipher", symptoms.tls.and_then(|tls| tls.cipher.as_ref())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Alert, PhaseName, Tls},
        session::diagnosis::tests::{ended, fits, misses},
    };

    #[test]
    fn a_server_that_fails_the_handshake_by_an_alert_found_nothing_in_common() {
        let alert = |name: &str| Tls {
            alert: Some(Alert {
                from: Side::Server,
                level: None,
                description: Some(name.into()),
            }),
            ..Tls::default()
        };
        let (failure, other) = (alert("handshake_failure"), alert("protocol_version"));
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Server);
        left.tls = Some(&failure);
        assert!(fits(&CAUSE, &left) >= 0.8);
        let agreed = Tls {
            version: Some("1.2".into()),
            ..failure.clone()
        };
        left.tls = Some(&agreed);
        assert!(misses(&CAUSE, &left), "it had chosen a cipher");
        left.tls = Some(&other);
        assert!(misses(&CAUSE, &left));
        left.tls = None;
        assert!(misses(&CAUSE, &left));
    }
}
