//! The client leaves over a certificate for another name.

use crate::{
    record::{Certificate, Side, Text, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "certificate_name_mismatch",
    whom: Some(Whom::Application),
    meaning: "the certificate is for another name",
    seen: "the client asked for {asked_for}, was shown a certificate for {certificate_names}, and \
           left",
    fits,
    page: Page {
        means: "The certificate is for other names than the one that the client connects to: an alias, a \
            bare host name, an address, a listener's name.",
        signs: "The client left after the certificate, and the name it asked for is not among the \
            certificate's (`certificate_names`): that of its hello, or, less surely, the one that it asked a name server \
            for before.",
        against: "An alert that says another reason; a self-signed certificate, which nobody trusts \
            anyway; a client that checks another name than it asks for (`HostNameInCertificate`).",
        confirm: "`tls.sni` against `tls.certificate.subject_alt_names`.",
        mend: "Connect by a name that the certificate has; a certificate with all names, those of \
            listeners and aliases too; `HostNameInCertificate` in the connection string.",
        reports: &[
            "dotnet/SqlClient#1753",
            "dotnet/SqlClient#4228",
            "dataplat/dbatools#8744",
        ],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    if !symptoms.left_over_certificate() {
        return None;
    }
    // Another alert says another reason.
    let alert = symptoms.alert_from(Side::Client).unwrap_or("");
    if !["", "bad_certificate", "certificate_unknown"].contains(&alert) {
        return None;
    }
    let certificate = symptoms.certificate()?;
    let said = symptoms.tls?.sni.as_ref().or(symptoms.server_name);
    let name = said.or(symptoms.resolved_name)?;
    let names = names(certificate);
    let known = names.iter().any(|known| is_for(known, name));
    // Nobody trusts what signs itself, whatever its name.
    let confidence = if certificate.self_signed == Some(true) {
        0.6
    } else if said.is_none() {
        // What a resolver makes of a short name is not what the client looks for.
        0.75
    } else {
        0.88
    };
    (!known && !names.is_empty()).then(|| {
        Found::at(confidence)
            .with("asked_for", name)
            .with("certificate_names", &names)
    })
}

/// The names that a certificate is for; its subject's counts where there is no other.
fn names(certificate: &Certificate) -> Vec<Text> {
    if !certificate.subject_alt_names.is_empty() {
        return certificate.subject_alt_names.clone();
    }
    let subject = certificate.subject.as_deref().unwrap_or("");
    let parts = subject.split(',').map(str::trim);
    let common = parts.filter_map(|part| part.strip_prefix("CN="));
    common.map(Text::new).collect()
}

/// Whether a name, perhaps with a star for its first part, is that one.
fn is_for(known: &str, name: &str) -> bool {
    let rest = known.strip_prefix("*.");
    rest.map_or_else(
        || known.eq_ignore_ascii_case(name),
        |rest| {
            let parent = name.split_once('.').map_or("", |(_, parent)| parent);
            rest.eq_ignore_ascii_case(parent)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, PhaseName},
        session::diagnosis::tests::{certificate, ended, fits, left_tls, misses},
    };

    #[test]
    fn a_client_that_leaves_over_another_name_minds_the_name() {
        let mut tls = left_tls(certificate(), None);
        tls.sni = Some("sql9.lab.test".into());
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Client);
        left.tls = Some(&tls);
        assert!(fits(&CAUSE, &left) > 0.8);
        let mut right = left_tls(certificate(), None);
        right.sni = Some("SQL1.lab.test".into());
        left.tls = Some(&right);
        assert!(misses(&CAUSE, &left));
    }

    #[test]
    fn a_client_that_does_not_say_the_name_is_known_by_what_it_asked_a_name_server_for() {
        let mut tls = left_tls(certificate(), None);
        tls.sni = None;
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Client);
        left.tls = Some(&tls);
        assert!(misses(&CAUSE, &left), "nobody knows which name it wants");
        let other = Text::from("sql9.lab.test");
        left.resolved_name = Some(&other);
        assert!((0.7..0.8).contains(&fits(&CAUSE, &left)));
        let right = Text::from("sql1.lab.test");
        left.resolved_name = Some(&right);
        assert!(misses(&CAUSE, &left));
    }

    #[test]
    fn a_star_stands_for_one_part_of_a_name() {
        assert!(is_for("*.lab.test", "sql1.lab.test"));
        assert!(!is_for("*.lab.test", "lab.test"));
        assert!(!is_for("*.lab.test", "a.b.lab.test"));
    }
}
