//! What was staged where encryption hides it: known from how each capture was made, not from its
//! bytes. All others are logins with one reply, which lets the client in.

/// What happens inside TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    /// Replies before the deciding one: a challenge, or the request for a token.
    pub rounds: usize,
    /// What the deciding reply says.
    pub outcome: &'static str,
    /// The server sends session tickets and answers nothing.
    pub silent: bool,
}

const STAGED: [(&str, usize, usize, &str); 10] = [
    ("jtds-full12-ntlm", 0, 1, "success"),
    ("jtds-full13-refused", 0, 0, "failed"),
    ("mssqltds-full12-token-redirected", 0, 1, "redirected"),
    ("mssqltds-strict13-refused-at-length", 0, 0, "failed"),
    ("pymssql-full13-redirected", 0, 0, "redirected"),
    ("pymssql-strict13-both-close", 0, 0, "failed"),
    ("tsql-full12-ntlm-refused", 0, 1, "failed"),
    ("ntlm-in-tls-long-challenge", 0, 1, "failed"),
    ("entra-second-factor", 0, 1, "failed"),
    ("tls13-in-tds7-tickets-after-login", 0, 0, "failed"),
];

/// Of one connection of a capture.
pub(super) fn rounds(capture: &str, number: usize) -> Scenario {
    let staged = STAGED
        .iter()
        .find(|(name, which, ..)| *name == capture && *which == number);
    let (rounds, outcome) = staged.map_or((0, "success"), |(_, _, rounds, outcome)| {
        (*rounds, *outcome)
    });
    Scenario {
        rounds,
        outcome,
        silent: capture == "odbc18-strict13-silent",
    }
}

/// Captures of other protocols on SQL Server's port: nothing in them is a login.
pub(super) fn is_of_strangers(capture: &str) -> bool {
    const STRANGERS: [&str; 6] = [
        "https-on-1433",
        "nmap-probe",
        "random-on-1433",
        "mysql-on-1433",
        "ase-tds5-anonymised",
        "ndpi-mssql_tds",
    ];
    STRANGERS.contains(&capture)
}
