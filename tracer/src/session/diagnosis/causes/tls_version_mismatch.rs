//! No TLS version that both sides speak.

use crate::{
    record::{Outcome, Side, Text, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "tls_version_mismatch",
    whom: Some(Whom::Database),
    meaning: "client and server have no TLS version in common",
    seen: "the client offered TLS {offered}[ and the server answered with {answered}]|TLS ended \
           over its version",
    fits,
    page: Page {
        means: "Client and server speak no version of TLS in common: an old server (SQL Server 2008 to \
            2014 without updates) against a client that wants 1.2, or an old client against a server \
            that has switched 1.0 and 1.1 off.",
        signs: "The alert `protocol_version`; a server that answers with a version which was not \
            offered; a client that offers 1.1 at most and a server that leaves; a server that answers \
            with 1.1 at most and a client that leaves, since it takes no SHA-1, which these versions \
            sign with.",
        against: "An alert about anything else; a version that both have agreed on.",
        confirm: "`tls.hello.versions` against the server's Schannel settings \
            (`HKLM\\\\SYSTEM\\\\CurrentControlSet\\\\Control\\\\SecurityProviders\\\\SCHANNEL\\\\Protocols`), \
            Schannel's events 36871 and 36874; on Linux `network.tlsprotocols` of `mssql-conf`, and \
            OpenSSL's `MinProtocol` on the client.",
        mend: "Update SQL Server to what speaks TLS 1.2; allow a common version on both sides.",
        reports: &["dotnet/corefx#9439", "dotnet/SqlClient#2242"],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    if !symptoms.ended_as(&[Outcome::TlsFailed]) {
        return None;
    }
    let alerts = [Side::Client, Side::Server].map(|side| symptoms.alert_from(side));
    let says = |name| alerts.contains(&Some(name));
    let hello = symptoms.hello();
    let offered = hello.map(|hello| &hello.versions);
    let answered = symptoms.tls.and_then(|tls| tls.version.as_ref());
    let beyond = answered.is_some_and(|answered| {
        offered.is_some_and(|offered| !offered.is_empty() && !offered.contains(answered))
    });
    let old = offered.is_some_and(|offered| {
        let is_old = |version: &Text| matches!(&**version, "1.0" | "1.1");
        !offered.is_empty() && offered.iter().all(is_old)
    });
    let left = symptoms.tls_left_by(Side::Server) && answered.is_none();
    // Up to TLS 1.1 all is signed by way of SHA-1.
    let signs = hello.map(|hello| &hello.signature_algorithms);
    let hollow = answered.is_some_and(|answered| matches!(&**answered, "1.0" | "1.1"))
        && signs.is_some_and(|signs| {
            !signs.is_empty() && !signs.iter().any(|name| name.contains("sha1"))
        })
        && symptoms.tls_left_by(Side::Client);
    let confidence = match () {
        () if says("protocol_version") => 0.96,
        () if says("inappropriate_fallback") => 0.85,
        () if beyond || hollow => 0.9,
        () if old && left => 0.7,
        () => return None,
    };
    Some(
        Found::at(confidence)
            .with("offered", offered)
            .with("answered", answered),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{PhaseName, Tls, TlsHello},
        session::diagnosis::tests::{certificate, ended, fits, hello, left_tls, misses},
    };

    #[test]
    fn an_alert_that_says_so_and_an_answer_beyond_the_offer_are_a_mismatch() {
        let said = left_tls(certificate(), Some("protocol_version"));
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Client);
        left.tls = Some(&said);
        assert!(fits(&CAUSE, &left) > 0.9);
        let beyond = Tls {
            version: Some("1.0".into()),
            hello: Some(hello(&["1.3", "1.2"], 300)),
            ..Tls::default()
        };
        left.tls = Some(&beyond);
        assert!(fits(&CAUSE, &left) >= 0.9);
    }

    #[test]
    fn a_version_that_signs_by_sha1_is_none_for_who_takes_no_sha1() {
        let answered = |signature: &str| Tls {
            version: Some("1.1".into()),
            hello: Some(TlsHello {
                signature_algorithms: vec![signature.into()],
                ..hello(&["1.2", "1.1"], 300)
            }),
            ..Tls::default()
        };
        let (without, with) = (answered("rsa_pkcs1_sha256"), answered("rsa_pkcs1_sha1"));
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Client);
        left.tls = Some(&without);
        assert!(fits(&CAUSE, &left) >= 0.9);
        left.tls = Some(&with);
        assert!(misses(&CAUSE, &left));
    }

    #[test]
    fn a_client_that_leaves_over_a_certificate_agreed_on_a_version() {
        let silent = left_tls(certificate(), Some("unknown_ca"));
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Client);
        left.tls = Some(&silent);
        assert!(misses(&CAUSE, &left));
    }
}
