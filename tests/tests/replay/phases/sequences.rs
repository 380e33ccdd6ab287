//! The four published login sequences: what they say, to the nanosecond.

use std::fs;

use harness::{
    replay::{events, field},
    sequences::{NAMES, capture, folder},
};
use serde_json::{Value, json};

/// Set to write the captures anew instead of comparing them.
const REGENERATE: &str = "TDS_TRACER_REGENERATE";

#[test]
fn the_checked_in_captures_regenerate_identically() {
    for name in NAMES {
        let path = folder().join(format!("{name}.pcap"));
        let generated = capture(name).unwrap();
        if std::env::var_os(REGENERATE).is_some() {
            fs::write(&path, &generated).unwrap();
        }
        let checked_in = fs::read(&path).unwrap();
        assert!(
            checked_in == generated,
            "{name}: set {REGENERATE}=1 to write it anew"
        );
    }
}

/// The events of one kind that the replay of a sequence gives.
fn said(name: &str, event: &str) -> Vec<Value> {
    let path = folder().join(format!("{name}.pcap"));
    let mut events = events(&path).unwrap();
    events.retain(|line| line["event"] == event);
    events
}

/// Every field that differs from what is expected of it, `null` meaning that it is left out.
fn differences(event: &Value, expected: &[(&str, Value)]) -> Vec<String> {
    expected
        .iter()
        .filter_map(|(path, expected)| {
            let said = field(event, path).cloned().unwrap_or(Value::Null);
            (said != *expected).then(|| format!("{path}: {said}, expected {expected}"))
        })
        .collect()
}

fn assert_login(name: &str, phases: &[(&str, u64)], whole: u64, expected: &[(&str, Value)]) {
    let logins = said(name, "login");
    assert_eq!(logins.len(), 1, "{name}: one connection, one login");
    let login = &logins[0];
    let mut all = expected.to_vec();
    let paths: Vec<_> = phases
        .iter()
        .map(|(phase, _)| format!("phases.{phase}.duration_ns"))
        .collect();
    for (path, (_, duration_ns)) in paths.iter().zip(phases) {
        all.push((path, json!(duration_ns)));
    }
    all.push(("login.duration_ns", json!(whole)));
    all.push(("login.outcome", json!("success")));
    all.push(("connection.partial", json!(false)));
    let differences = differences(login, &all);
    assert!(
        differences.is_empty(),
        "{name}:\n{}",
        differences.join("\n")
    );

    let sum: u64 = phases.iter().map(|(_, duration_ns)| duration_ns).sum();
    assert_eq!(sum, whole, "{name}: the phases add up to the whole login");
}

#[test]
fn sql_authentication_takes_what_the_walk_through_says() {
    assert_login(
        "sql-auth",
        &[
            ("handshake", 976_000),
            ("prelogin", 1_954_000),
            ("tls", 11_718_000),
            ("login", 3_907_000),
        ],
        18_555_000,
        &[
            ("phases.auth", Value::Null),
            ("auth.kind", json!("sql")),
            ("tds.encryption", json!("login_only")),
            ("tds.version", json!("7.1")),
            ("tds.spid", json!(96)),
            ("tds.mars", json!(false)),
            ("connection.vantage", json!("unknown")),
            ("client.address", json!("10.10.10.10")),
            ("client.port", json!(60_123)),
            ("server.port", json!(1433)),
        ],
    );
}

#[test]
fn kerberos_takes_one_token_more() {
    assert_login(
        "kerberos",
        &[
            ("handshake", 703_700),
            ("prelogin", 47_332_800),
            ("tls", 8_489_000),
            ("login", 16_070_100),
            ("auth", 1_337_100),
        ],
        73_932_700,
        &[
            ("auth.kind", json!("kerberos")),
            ("tds.encryption", json!("login_only")),
            ("tds.version", json!("7.4")),
            ("tds.spid", json!(57)),
            ("tds.mars", json!(false)),
            ("connection.vantage", json!("unknown")),
        ],
    );
}

#[test]
fn ntlm_is_found_on_a_named_instance_s_port() {
    assert_login(
        "ntlm",
        &[
            ("handshake", 844_000),
            ("prelogin", 2_096_600),
            ("tls", 6_490_800),
            ("login", 8_375_700),
            ("auth", 18_081_300),
        ],
        35_888_400,
        &[
            ("auth.kind", json!("ntlm")),
            ("tds.encryption", json!("login_only")),
            ("tds.version", json!("7.3")),
            ("tds.spid", json!(315)),
            ("tds.mars", json!(false)),
            ("server.port", json!(57_139)),
            ("connection.vantage", json!("client")),
        ],
    );
}

#[test]
fn mars_is_a_login_with_sessions_behind_it() {
    assert_login(
        "mars",
        &[
            ("handshake", 490_700),
            ("prelogin", 380_200),
            ("tls", 3_834_300),
            ("login", 2_930_700),
            ("auth", 147_767_800),
        ],
        155_403_700,
        &[
            ("auth.kind", json!("ntlm")),
            ("tds.encryption", json!("login_only")),
            ("tds.version", json!("7.4")),
            ("tds.spid", json!(255)),
            ("tds.mars", json!(true)),
            ("connection.vantage", json!("server")),
        ],
    );
    let closes = said("mars", "close");
    assert_eq!(closes.len(), 1);
    assert_eq!(field(&closes[0], "mars.sessions"), Some(&json!(1)));
    assert_eq!(field(&closes[0], "connection.partial"), Some(&json!(true)));
    let sessions = said("mars", "mars");
    assert_eq!(sessions.len(), 1);
    assert_eq!(field(&sessions[0], "mars.sid"), Some(&json!(0)));
    // SELECT 1, 34 times; the last response ends with the last frame.
    assert_eq!(field(&closes[0], "requests.count"), Some(&json!(34)));
}
