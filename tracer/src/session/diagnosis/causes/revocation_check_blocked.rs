//! The client is silent after the certificate.

use crate::{
    record::{PartKind, PhaseName, Whom},
    session::diagnosis::{
        Cause, Found, Page, Symptoms,
        questions::Question,
        symptoms::{SECOND, Who},
    },
};

pub(super) const CAUSE: Cause = Cause {
    slug: "revocation_check_blocked",
    whom: Some(Whom::Application),
    meaning: "the client checks in vain whether the certificate was revoked",
    seen: "the client was silent for {waited_ns} after the certificate, and was connected in vain to {blocked_hosts}|the client was silent for {waited_ns} after the certificate[, which names {crl_hosts}]",
    fits,
    page: Page {
        means: "The client asks the hosts that the certificate names whether it was revoked, or fetches \
            a missing certificate of its chain, and does not reach them. It waits, on Windows for 15 \
            seconds, then goes on or leaves.",
        signs: "The client is silent for four seconds or more after the server's certificate; the surer \
            where the certificate names such hosts, and where it is about 15 seconds. Surest where its process \
            connects meanwhile to port 80 of such a host and gets no answer: then any long silence is enough, and \
            `blocked_hosts` names it.",
        against: "Hosts are known by the names that the client has asked for just before, and by the certificate, which \
            TLS 1.3 hides. A client that is starved is silent as \
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
    if stall.phase != PhaseName::Tls || !shown {
        return None;
    }
    let asked = symptoms.questions().of(PartKind::Revocation);
    let in_vain = asked.filter(Question::is_in_vain);
    if !in_vain.is_empty() {
        let found = Found::at(0.95).with("blocked_hosts", in_vain.names());
        return Some(in_vain.support(found, "revocation_ns"));
    }
    if stall.took < LONG {
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
        record::{Certificate, ServiceOutcome},
        session::diagnosis::{
            questions::samples::asked,
            tests::{certificate, fits, left_tls, misses, slow},
        },
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
        let silent = ServiceOutcome::Unanswered;
        let in_vain = [asked(PartKind::Revocation, silent, (0, 4))];
        login.beside = &in_vain;
        assert!(fits(&CAUSE, &login) > 0.9, "one was asked in vain");
        assert!(
            misses(&CAUSE, &slow(PhaseName::Tls, Who::Client)),
            "none was shown"
        );
        assert!(misses(&CAUSE, &slow(PhaseName::Tls, Who::Server)));
    }
}
