//! The client leaves over a certificate with a negative serial number.

use crate::{
    record::{Side, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "certificate_negative_serial",
    whom: Some(Whom::Database),
    meaning: "the certificate has a negative serial number",
    seen: "the client left over a certificate with a serial number below zero[{self_signed?} that \
           signed itself]",
    fits,
    page: Page {
        means: "SQL Server's self-made certificate got a negative serial number, by chance at each \
            start. RFC 5280 forbids that, and programs in Go from 1.23 on refuse it.",
        signs: "`tls.certificate.serial_negative`, and the client left after the certificate (in clear \
            up to TLS 1.2).",
        against: "A client that went on; an alert that says another reason.",
        confirm: "The client's message `x509: negative serial number`.",
        mend: "Give SQL Server a certificate of an authority; a newer image of SQL Server for Linux; \
            until then `GODEBUG=x509negativeserial=1` (up to Go 1.24), or another start.",
        reports: &[
            "microsoft/go-mssqldb#217",
            "microsoft/mssql-docker#895",
            "open-telemetry/opentelemetry-collector-contrib#38248",
            "burningalchemist/sql_exporter#729",
            "redpanda-data/connect#3162",
        ],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let certificate = symptoms.certificate()?;
    let negative = certificate.serial_negative == Some(true);
    let alert = symptoms.alert_from(Side::Client).unwrap_or("");
    // Go says so; others mind something else.
    let confidence = match alert {
        "" | "bad_certificate" => 0.93,
        _ => 0.6,
    };
    (negative && symptoms.left_over_certificate()).then(|| {
        Found::at(confidence)
            .with("serial_negative", true)
            .with("self_signed", certificate.self_signed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Certificate, Outcome, PhaseName},
        session::diagnosis::tests::{certificate, ended, fits, left_tls, misses},
    };

    #[test]
    fn a_client_that_leaves_over_a_negative_serial_number_may_not_read_it() {
        let negative = Certificate {
            serial_negative: Some(true),
            ..certificate()
        };
        let tls = left_tls(negative, None);
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Client);
        left.tls = Some(&tls);
        assert!(fits(&CAUSE, &left) > 0.9);
        let positive = left_tls(certificate(), None);
        left.tls = Some(&positive);
        assert!(misses(&CAUSE, &left));
    }
}
