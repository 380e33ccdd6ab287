//! Captures of faults: what was done to each login is told first.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use harness::replay::events_with;
use serde_json::Value;

use super::top;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Options of the command line, the capture, the likeliest cause of each of its logins in the order in
/// which they are told, and whom it is for.
type Row = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
);

const ROWS: [Row; 33] = [
    (
        "",
        "captures/odbc18-lab-blackhole",
        &["syn_unanswered"],
        "network",
    ),
    (
        "",
        "captures/odbc18-none-refused",
        &["port_closed"; 6],
        "database",
    ),
    (
        "",
        "captures/odbc18-lab-loginfailed",
        &["login_rejected"],
        "identity",
    ),
    (
        "",
        "captures/odbc18-lab-tlsversion",
        &["tls_version_mismatch"],
        "database",
    ),
    (
        "--slow 100",
        "captures/odbc18-lab-loginretrans",
        &["packet_loss"],
        "network",
    ),
    (
        "",
        "faults/odbc18-honeypots-loginfailed",
        &["login_rejected"],
        "identity",
    ),
    (
        "",
        "faults/odbc18-lab-certuntrusted",
        &["certificate_rejected"],
        "application",
    ),
    (
        "",
        "faults/odbc18-lab-login-rst",
        &["closed_without_error"],
        "identity",
    ),
    (
        "",
        "faults/odbc18-lab-mars-refused",
        &["client_gave_up"],
        "application",
    ),
    (
        "",
        "faults/odbc18-lab-multisubnet",
        &["parallel_race_lost", ""],
        "",
    ),
    (
        "",
        "faults/odbc18-lab-silent",
        &["unknown", "server_silent"],
        "",
    ),
    (
        "",
        "faults/odbc18-lab-slowlogin",
        &["server_slow_login"],
        "database",
    ),
    (
        "",
        "faults/odbc18-lab-slowprelogin",
        &["server_slow_prelogin"],
        "database",
    ),
    (
        "",
        "faults/odbc18-lab-slowtls",
        &["server_slow_tls"],
        "database",
    ),
    (
        "",
        "faults/odbc18-lab-strict-vs-74server",
        &["not_strict_server"],
        "application",
    ),
    (
        "",
        "faults/odbc18-lab-tlsclose-fin",
        &["client_hello_refused"],
        "database",
    ),
    (
        "",
        "faults/odbc18-mock-clear",
        &["client_gave_up"],
        "application",
    ),
    (
        "",
        "faults/tsql-lab-ntlm-badpw",
        &["login_rejected"],
        "identity",
    ),
    ("", "faults/tsql-lab-silent", &["server_silent"], "database"),
    (
        "",
        "rows/odbc18-clear-two-errors",
        &["initial_database"],
        "database",
    ),
    (
        "",
        "rows/odbc18-refused-encryption",
        &["client_gave_up"],
        "application",
    ),
    (
        "",
        "cases/answered-after-130s",
        &["syn_unanswered", "server_slow_login"],
        "",
    ),
    (
        "",
        "cases/entra-second-factor",
        &["login_rejected"],
        "identity",
    ),
    (
        "",
        "cases/farewell-attention-in-clear",
        &["server_silent"],
        "database",
    ),
    (
        "",
        "cases/farewell-close-notify-in-tls",
        &["server_silent"],
        "database",
    ),
    ("", "cases/garbage-answer-then-15s", &["not_sql_server"], ""),
    (
        "",
        "cases/hundred-resets-after-accept",
        &["connection_limit"; 100],
        "database",
    ),
    (
        "",
        "cases/mtu-black-hole-seen-on-server",
        &["path_mtu"],
        "network",
    ),
    (
        "",
        "cases/ntlm-in-tls-long-challenge",
        &["login_rejected"],
        "identity",
    ),
    (
        "",
        "cases/silent-client-server-ends",
        &["client_slow"],
        "application",
    ),
    (
        "",
        "cases/synack-lost-then-client-thinks",
        &["packet_loss"],
        "network",
    ),
    (
        "",
        "cases/tls13-in-tds7-tickets-after-login",
        &["login_rejected"],
        "identity",
    ),
    ("--port 5000", "others/sybase-tds5", &["not_sql_server"], ""),
];

fn events(capture: &str, options: &str) -> Vec<Value> {
    let path = folder().join(format!("{capture}.pcap"));
    let options: Vec<_> = options.split_whitespace().collect();
    events_with(&path, &options).unwrap()
}

#[test]
fn what_was_done_to_a_captured_login_is_told_first() {
    let mut wrong = Vec::new();
    for (options, capture, causes, whom) in ROWS {
        let events = events(capture, options);
        let logins: Vec<_> = events
            .iter()
            .filter(|line| line["event"] == "login")
            .collect();
        let told: Vec<_> = logins.iter().map(|line| top(line)).collect();
        if told != causes {
            wrong.push(format!("{capture}: {told:?}, right {causes:?}"));
        }
        for line in logins.iter().filter(|_| !whom.is_empty()) {
            let told = &line["diagnosis"][0]["for"];
            if told != whom {
                wrong.push(format!("{capture}: for {told}, right {whom}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_slow_refusal_is_told_with_what_made_it_slow() {
    for (capture, second) in [
        ("cases/entra-second-factor", "federated_token_slow"),
        ("cases/ntlm-in-tls-long-challenge", "domain_controller_slow"),
        (
            "cases/tls13-in-tds7-tickets-after-login",
            "server_slow_login",
        ),
    ] {
        let events = events(capture, "");
        let login = events.iter().find(|line| line["event"] == "login").unwrap();
        assert_eq!(login["diagnosis"][1]["cause"], second, "{capture}: {login}");
    }
}

#[test]
fn a_login_that_waits_is_told_why_while_it_does() {
    let events = events("cases/answered-after-130s", "");
    let pending = events.iter().find(|line| line["event"] == "pending");
    let pending = pending.expect("one that waits for 130 s");
    assert_eq!(top(pending), "server_silent");
    assert_eq!(pending["diagnosis"][0]["evidence"]["phase"], "login");
}

#[test]
fn a_close_says_what_its_login_said() {
    for (options, capture, ..) in ROWS {
        let mut logins = BTreeMap::new();
        for line in events(capture, options) {
            let id = line["connection"]["id"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            if line["event"] == "login" {
                logins.insert(id, line["diagnosis"].clone());
            } else if line["event"] == "close" && line["diagnosis"][0]["cause"] != "late_reply" {
                assert_eq!(Some(&line["diagnosis"]), logins.get(&id), "{capture}");
            }
        }
    }
}
