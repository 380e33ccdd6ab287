//! Where tshark 4.0 is known to read otherwise, and why.

use harness::decoded::{Key, TDS, TLS};

/// A list of values that the two do not agree on.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    pub(crate) key: Key,
    pub(crate) own: Vec<String>,
    pub(crate) theirs: Vec<String>,
}

impl Difference {
    /// tshark stops early, and agrees until then.
    fn stops_early(&self) -> bool {
        self.own.starts_with(&self.theirs)
    }
}

/// A difference that is known, and not the agent's fault.
struct Exception {
    /// The captures it shows in.
    captures: &'static [&'static str],
    /// What it shows in: names begin like this.
    what: &'static [&'static str],
    /// What must be true of it all the same.
    holds: fn(&Difference) -> bool,
    why: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        captures: &[
            "mssqltds-mock-fedauth-tls",
            "mssqltds-mock-tls",
            "tsql-mock-tls",
            "mssqltds-full12-type4",
        ],
        what: &["server hello."],
        holds: |difference| difference.theirs.is_empty(),
        why: "the server wraps its TLS records in packets of type 4, where tshark looks for tokens",
    },
    Exception {
        captures: &[
            "mssqltds-mock-fedauth-tls",
            "mssqltds-mock-tls",
            "mssqltds-full12-type4",
            "odbc18-lab-tls13intds",
            "mssqltds-full12-token-redirected",
        ],
        what: &[TLS],
        holds: Difference::stops_early,
        why: "among TDS packets tshark knows a TLS record by application data only: it loses its \
              place at an alert, or at the ChangeCipherSpec of TLS 1.3",
    },
    Exception {
        captures: &[
            "mssqltds-mock-routing",
            "odbc18-lab-routing",
            "mssqltds-clear-routed-database",
        ],
        what: &["done."],
        holds: Difference::stops_early,
        why: "tshark takes the two-byte length of a routing change for one byte, and is lost then",
    },
    Exception {
        captures: &["odbc18-clear-kerberos-joined", "odbc18-lab-krb-joined"],
        what: &["loginack.", "envchange.", "done."],
        holds: Difference::stops_early,
        why: "tshark gives up at an SSPI token that is followed by others: it calls it malformed",
    },
    Exception {
        captures: &["sql-auth"],
        what: &["loginack.", "envchange.", "info.", "done."],
        holds: Difference::stops_early,
        why: "the login was sealed, so tshark cannot know that this is TDS 7.1, and takes the line \
              number of INFO for four bytes",
    },
    Exception {
        captures: &["pytds-loginonly12-resumed"],
        what: &[TLS, TDS, "envchange.", "done."],
        holds: |difference| {
            difference.stops_early() || difference.theirs.starts_with(&difference.own)
        },
        why: "the client's Finished of a resumed session comes without TDS around it: tshark takes \
              what follows for more of TLS, and the replies to it for those to a login",
    },
    Exception {
        captures: &["random-on-1433"],
        what: &["login7."],
        holds: |difference| difference.own.is_empty(),
        why: "tshark takes random bytes behind a header for a login, whatever length it gives",
    },
    Exception {
        captures: &["odbc18-opencanary-loginfailed"],
        what: &["done."],
        holds: |difference| difference.own.is_empty(),
        why: "the honeypot's ERROR claims three bytes of the DONE behind it: tshark does not look at \
              a message's length, and what is told of a message's end goes by nothing else",
    },
];

/// The differences that no exception explains, and the exceptions that nothing needs any more.
pub(crate) fn unexplained(found: Vec<(String, Difference)>, captures: &[&str]) -> Vec<String> {
    let mut needed = vec![false; EXCEPTIONS.len()];
    let mut rows = Vec::new();
    for (capture, difference) in found {
        let explains = |exception: &Exception| {
            exception.captures.contains(&capture.as_str())
                && exception
                    .what
                    .iter()
                    .any(|what| difference.key.what.starts_with(what))
                && (exception.holds)(&difference)
        };
        match EXCEPTIONS.iter().position(explains) {
            Some(index) => needed[index] = true,
            None => rows.push(format!("{capture}: {difference:?}")),
        }
    }
    // A copied or cut-down folder of captures may lack what an exception is for.
    let whole = |exception: &Exception| {
        exception
            .captures
            .iter()
            .all(|name| captures.contains(name))
    };
    for (exception, needed) in EXCEPTIONS.iter().zip(needed) {
        if !needed && captures.len() > 1 && whole(exception) {
            rows.push(format!("the two read the same by now: {}", exception.why));
        }
    }
    rows
}
