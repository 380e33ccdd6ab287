//! The client is silent after the certificate.

use crate::{
    record::{PhaseName, Whom},
    session::diagnosis::{
        Cause, Found, Page, Symptoms,
        symptoms::{SECOND, Who},
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "revocation_check_blocked",
    whom: Some(Whom::Application),
    meaning: "the client checks in vain whether the certificate was revoked",
    seen: "the client was silent for {waited_ns} after the certificate[, which names {crl_hosts}]",
    fits,
    page: Page {
        means: "The client asks the hosts that the certificate names whether it was revoked, or fetches \
            a missing certificate of its chain, and does not reach them. It waits, on Windows for 15 \
            seconds, then goes on or leaves.",
        signs: "The client is silent for four seconds or more after the server's certificate; the surer \
            where the certificate names such hosts, and where it is about 15 seconds.",
        against: "What the client tries meanwhile is not seen here. A client that is starved is silent as \
            well, but then mostly elsewhere too.",
        confirm: "On the client: connections to port 80 of the hosts in `crl_hosts` that are not answered; \
            Windows' *CAPI2* log, event 53 and 11; `certutil -verify -urlfetch`.",
        mend: "Open the path to those hosts or to a proxy (`netsh winhttp`); an authority whose lists \
            the client reaches.",
        reports: &[
            "Azure/SQL-Connectivity-Checker#122",
            "dotnet/SqlClient#2108",
            "dotnet/SqlClient#1627",
        ],
    },
};

/// From here on a client that is silent after the certificate looks for something elsewhere.
const LONG: u64 = 4 * SECOND;

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let stall = symptoms.stalled_by(Who::Client)?;
    let shown = symptoms.certificate().is_some() || symptoms.hello_was_answered();
    if stall.phase != PhaseName::Tls || !shown || stall.took < LONG {
        return None;
    }
    let hosts = symptoms
        .certificate()
        .map(|certificate| &certificate.crl_hosts);
    let hosts = hosts.filter(|hosts| !hosts.is_empty());
    // Windows gives up after 15 seconds.
    let typical = (13 * SECOND..18 * SECOND).contains(&stall.took);
    let confidence = match (hosts.is_some(), typical) {
        (true, true) => 0.8,
        (true, false) => 0.65,
        (false, true) => 0.6,
        (false, false) => 0.4,
    };
    Some(Found::at(confidence).with("crl_hosts", hosts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::Certificate,
        session::diagnosis::tests::{certificate, fits, left_tls, misses, slow},
    };

    #[test]
    fn a_client_that_is_silent_for_long_after_a_certificate_with_hosts_to_ask_asks_them() {
        let with_hosts = Certificate {
            crl_hosts: vec!["crl.lab.test".into()],
            ..certificate()
        };
        let tls = left_tls(with_hosts, None);
        let mut login = slow(PhaseName::Tls, Who::Client);
        login.tls = Some(&tls);
        assert!(fits(&CAUSE, &login) > 0.6);
        assert!(
            misses(&CAUSE, &slow(PhaseName::Tls, Who::Client)),
            "none was shown"
        );
        assert!(misses(&CAUSE, &slow(PhaseName::Tls, Who::Server)));
    }
}
