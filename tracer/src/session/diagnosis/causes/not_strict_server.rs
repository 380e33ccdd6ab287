//! The client begins with TLS, and the server does not.

use crate::{
    record::{Encryption, PhaseName, Side, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "not_strict_server",
    whom: Some(Whom::Application),
    meaning: "the server does not speak TDS 8.0",
    seen: "the client began with TLS, and the server did not answer its hello",
    fits,
    page: Page {
        means: "The client wants TDS 8.0 (`Encrypt=strict`), where TLS comes first. The server takes the \
            hello for a packet of TDS 7 that makes no sense, and leaves or waits for more.",
        signs: "TLS before any TDS, and the server's end or silence instead of its hello.",
        against: "A hello of the server. A server of version 16 and later that has no certificate does the \
            same ([`strict_without_certificate`](#strict_without_certificate)).",
        confirm: "`SELECT @@VERSION`: TDS 8.0 is spoken from SQL Server 2022 (16) on, and by Azure. In the \
            error log of an older one 17836 or 17832.",
        mend: "`Encrypt=mandatory` towards servers before 2022; update the server.",
        reports: &[],
    },
};

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let strict = symptoms
        .tds
        .is_some_and(|tds| tds.encryption == Some(Encryption::Strict));
    let left = symptoms.tls_left_by(Side::Server) && !symptoms.hello_was_answered();
    let silent = symptoms.server_stall().is_some() && symptoms.stopped_at(PhaseName::Tls);
    if !strict || symptoms.alert_from(Side::Server).is_some() {
        return None;
    }
    let confidence = match (left, silent) {
        (true, _) => 0.8,
        // It waits for the rest of what it takes for a packet.
        (false, true) if !symptoms.hello_was_answered() => 0.6,
        _ => return None,
    };
    Some(Found::at(confidence).with("server_bytes", symptoms.tcp.bytes.server))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Outcome, Tds},
        session::diagnosis::tests::{certificate, ended, fits, left_tls, misses},
    };

    #[test]
    fn a_server_that_leaves_when_tls_comes_first_does_not_know_tds_8() {
        let strict = Tds {
            encryption: Some(Encryption::Strict),
            ..Tds::default()
        };
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Server);
        assert!(misses(&CAUSE, &left), "TLS inside TDS 7");
        left.tds = Some(&strict);
        assert!(fits(&CAUSE, &left) >= 0.8);
        let answered = left_tls(certificate(), None);
        left.tls = Some(&answered);
        assert!(misses(&CAUSE, &left), "it speaks TLS first");
    }
}
