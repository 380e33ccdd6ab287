//! The server leaves at the client's first message of TLS, without a word.

use crate::{
    record::{Encryption, Side, Whom},
    session::diagnosis::{Cause, Found, Page, Symptoms},
};

pub(super) const CAUSE: Cause = Cause {
    slug: "client_hello_refused",
    whom: Some(Whom::Database),
    meaning: "the server drops the connection at the client's hello",
    seen: "the server ended the connection upon the client's hello[ of {hello_bytes} bytes]",
    fits,
    page: Page {
        means: "The server ended the connection when it saw the client's hello: it does not like what is \
            offered (versions, groups, a hello of more than one segment as OpenSSL 3.5 sends it with \
            post-quantum groups), or it has no certificate that works.",
        signs: "A FIN or RST of the server after the hello, no hello of its own, no alert. The larger \
            the hello, the surer.",
        against: "An alert, which says more; TDS 8.0 ([`not_strict_server`](#not_strict_server)); a RST \
            from elsewhere.",
        confirm: "Schannel's events on the server (36870: the key can not be read; 36874, 36888); SQL \
            Server's error log 17182, 26010, 26014 at its start, 17836 and 17828 later. Try with \
            fewer groups: `openssl s_client -groups P-256`.",
        mend: "Update the server; offer fewer groups (OpenSSL's `Groups = X25519:P-256`); give SQL \
            Server's account the right to read its key.",
        reports: &[
            "openssl/openssl#27557",
            "openssl/openssl#28284",
            "microsoft/mssql-python#602",
            "dotnet/SqlClient#2252",
            "microsoft/mssql-python#490",
            "microsoft/msphpsql#1462",
            "lurcher/unixODBC#159",
        ],
    },
};

/// Longer ones do not fit into one segment, which old servers and devices do not expect.
const LARGE: u32 = 1400;

fn fits(symptoms: &Symptoms<'_>) -> Option<Found> {
    let alert = symptoms.alert_from(Side::Server).is_some();
    let strict = symptoms
        .tds
        .is_some_and(|tds| tds.encryption == Some(Encryption::Strict));
    let left = symptoms.tls_left_by(Side::Server) && !symptoms.hello_was_answered();
    if !left || alert || strict {
        return None;
    }
    let hello = symptoms.hello();
    let large = hello.is_some_and(|hello| hello.bytes > LARGE);
    let foreign = symptoms.ended.is_some_and(|ended| ended.foreign);
    let confidence = match (large, foreign) {
        (_, true) => 0.4,
        (true, _) => 0.85,
        (false, _) => 0.65,
    };
    Some(
        Found::at(confidence)
            .with("hello_bytes", hello.map(|hello| hello.bytes))
            .with("segments", hello.and_then(|hello| hello.segments))
            .with("versions", hello.map(|hello| &hello.versions))
            .with("groups", hello.map(|hello| &hello.groups)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Alert, Outcome, PhaseName, Tls},
        session::diagnosis::tests::{ended, fits, hello, misses},
    };

    #[test]
    fn a_server_that_leaves_at_the_hello_refuses_it_most_of_all_a_large_one() {
        let of = |bytes| Tls {
            hello: Some(hello(&["1.3", "1.2"], bytes)),
            ..Tls::default()
        };
        let (small, large) = (of(300), of(1555));
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Server);
        left.tls = Some(&small);
        assert!((0.5..0.8).contains(&fits(&CAUSE, &left)));
        left.tls = Some(&large);
        assert!(fits(&CAUSE, &left) > 0.8);
    }

    #[test]
    fn an_alert_says_more_and_a_client_that_leaves_was_not_refused() {
        let said = Tls {
            hello: Some(hello(&["1.2"], 300)),
            alert: Some(Alert {
                from: Side::Server,
                level: None,
                description: Some("handshake_failure".into()),
            }),
            ..Tls::default()
        };
        let mut left = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Server);
        left.tls = Some(&said);
        assert!(misses(&CAUSE, &left));
        let client = ended(Outcome::TlsFailed, PhaseName::Tls, Side::Client);
        assert!(misses(&CAUSE, &client));
    }
}
