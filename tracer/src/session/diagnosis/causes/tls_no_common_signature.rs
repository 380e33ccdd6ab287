//! The client takes no signature that the server can make.

use crate::{
    record::{Side, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "tls_no_common_signature",
    whom: Some(Whom::Database),
    meaning: "client and server have no signature algorithm in common",
    seen: "the server ended the connection upon a hello that offers {signature_algorithms}",
    fits,
    page: Page {
        means: "The client takes no SHA-1 signature in TLS 1.2 any more (Go from 1.25 on, OpenSSL 3 at \
            security level 2), and the server can make none other: old Schannel, or a certificate \
            chain signed with SHA-1.",
        signs: "A hello up to TLS 1.2 whose signature algorithms have no SHA-1, and a server that leaves \
            instead of answering.",
        against: "A hello that offers SHA-1, or TLS 1.3; an alert that says something else.",
        confirm: "`tls.hello.signature_algorithms`; on the server the certificate's signature (`certutil \
            -dump`) and Windows' version.",
        mend: "A certificate with SHA-256 in all of its chain; updates of Windows; until then \
            `GODEBUG=tlssha1=1`.",
        reports: &["microsoft/go-mssqldb#302"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let hello = symptoms.hello()?;
    let offered = &hello.signature_algorithms;
    let lacks_sha1 = !offered.is_empty() && !offered.iter().any(|name| name.contains("sha1"));
    let old = !hello.versions.iter().any(|version| &**version == "1.3");
    let refused = symptoms.tls_left_by(Side::Server) && !symptoms.hello_was_answered();
    // The server says nothing, or that it failed.
    let alert = symptoms.alert_from(Side::Server).unwrap_or("");
    let fits = ["", "handshake_failure"].contains(&alert);
    (lacks_sha1 && old && refused && fits).then(|| {
        Found::at(if alert.is_empty() { 0.7 } else { 0.6 })
            .with("signature_algorithms", offered)
            .with("versions", &hello.versions)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, PhaseName, Tls, TlsHello},
        session::diagnosis::tests::{ended, fits, hello, misses},
    };

    fn refused(versions: &[&str], signature: &str) -> Tls {
        Tls {
            hello: Some(TlsHello {
                signature_algorithms: vec![signature.into()],
                ..hello(versions, 300)
            }),
            ..Tls::default()
        }
    }

    #[test]
    fn a_hello_without_sha1_that_an_old_server_leaves_at_is_about_signatures() {
        let (without, with) = (
            refused(&["1.2"], "rsa_pss_rsae_sha256"),
            refused(&["1.2"], "rsa_pkcs1_sha1"),
        );
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Server);
        left.tls = Some(&without);
        assert!(fits(&CAUSE, &left) >= 0.7);
        left.tls = Some(&with);
        assert!(misses(&CAUSE, &left));
    }
}
