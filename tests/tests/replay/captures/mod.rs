//! Captures of real drivers: every login says what was read out of their bytes by hand.

mod cases;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::Path,
};

use harness::replay::{Segment, captures as folder, events, field, is_same_message, segments};
use serde_json::{Value, json};

/// Phases in the order they happen in; in TDS 8.0 TLS comes before the prelogin.
const TDS_7: [&str; 5] = ["handshake", "prelogin", "tls", "login", "auth"];
const TDS_8: [&str; 5] = ["handshake", "tls", "prelogin", "login", "auth"];
/// Captures without a login: pieces from the middle of connections.
const NO_LOGIN: &str = "ndpi-mssql_tds";

/// What is wrong, one line each.
#[derive(Default)]
struct Table {
    rows: Vec<String>,
    compared: usize,
}

impl Table {
    fn row(&mut self, capture: &str, client: &str, field: &str, said: &Value, expected: &Value) {
        self.rows.push(format!(
            "{capture:<30} {client:<22} {field:<32} {said:<24} {expected}",
            said = said.to_string()
        ));
    }

    fn compare(&mut self, at: (&str, &str), path: &str, event: &Value, expected: &Value) {
        self.compared += 1;
        let said = field(event, path).cloned().unwrap_or(Value::Null);
        if said != *expected {
            self.row(at.0, at.1, path, &said, expected);
        }
    }
}

#[test]
fn every_login_of_every_capture_is_as_its_bytes_say() {
    let folder = folder();
    let expectations = expectations(&folder);
    let mut table = Table::default();
    for (capture, expected) in &expectations {
        let path = folder.join(format!("{capture}.pcap"));
        match events(&path) {
            Ok(events) => compare(capture, expected, &events, &path, &mut table),
            Err(error) => table.rows.push(format!("{capture:<30} {error:#}")),
        }
    }
    assert!(
        table.rows.is_empty(),
        "{} of {} differ: capture, client, field, said, expected\n{}",
        table.rows.len(),
        table.compared,
        table.rows.join("\n")
    );
    assert!(
        table.compared > 10 * expectations.len(),
        "hardly anything compared"
    );
}

#[test]
fn every_capture_of_the_folder_has_an_expectation() {
    let folder = folder();
    let expected: BTreeSet<_> = expectations(&folder).into_keys().collect();
    let entries = fs::read_dir(&folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let present: BTreeSet<_> = paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "pcap")
        })
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != NO_LOGIN)
        .collect();
    assert_eq!(present, expected);
}

#[test]
fn pieces_from_the_middle_of_connections_give_no_invented_login() {
    let path = folder().join(format!("{NO_LOGIN}.pcap"));
    if !path.is_file() {
        println!("skipped: {} is not here", path.display());
        return;
    }
    let events = events(&path).unwrap();
    assert!(
        !events.is_empty(),
        "the connections are there, whatever is known of them"
    );
    for event in events {
        if event["event"] == "login" {
            assert_eq!(event["login"]["outcome"], "unknown", "{event}");
            assert_eq!(event["connection"]["partial"], true, "{event}");
            assert!(
                event
                    .get("phases")
                    .is_none_or(|phases| phases == &json!({})),
                "{event}"
            );
        }
    }
}

/// Expectations by capture, each in the order of their SYNs.
fn expectations(folder: &Path) -> BTreeMap<String, Vec<Value>> {
    let text = fs::read_to_string(folder.join("expect.json")).unwrap();
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut by_capture = BTreeMap::<_, Vec<_>>::new();
    for expected in all {
        let capture = expected["capture"].as_str().unwrap().to_owned();
        by_capture.entry(capture).or_default().push(expected);
    }
    for expected in by_capture.values_mut() {
        expected.sort_by_key(|one| one["syn"].as_str().map(str::to_owned));
    }
    by_capture
}

fn compare(capture: &str, expected: &[Value], events: &[Value], path: &Path, table: &mut Table) {
    let segments = segments(path).unwrap();
    let mut logins = of_kind(events, "login");
    let mut closes = of_kind(events, "close");
    for expected in expected {
        let ends = (&expected["client"], &expected["server"]);
        let client = ends.0.as_str().unwrap();
        let at = (capture, client);
        let Some(login) = logins.get_mut(&key_of(ends)).and_then(Vec::pop) else {
            if expected["syn"].is_string() {
                table.row(capture, client, "login", &Value::Null, &json!("one line"));
            }
            continue;
        };
        // A connection of which only stray packets were captured has no SYN, and nothing is said.
        if let Some(syn) = expected["syn"].as_str() {
            let start = json!({"start": clock(&login)});
            table.compare(at, "start", &start, &json!(clock_of(syn)));
            compare_fields(at, expected, &login, table);
            compare_phases(at, expected, &login, &segments, table);
        }

        let close = closes
            .get_mut(&key_of(ends))
            .and_then(Vec::pop)
            .unwrap_or_default();
        for (path, expected) in expected["close"].as_object().into_iter().flatten() {
            table.compare(at, path, &close, expected);
        }
        let sessions = &expected["smp_sessions"];
        if sessions.is_number() {
            table.compare(at, "mars.sessions", &close, sessions);
        }
    }
    for login in logins.into_values().flatten() {
        let client = end(&login, "client");
        table.row(
            capture,
            &client,
            "login",
            &json!("one line too many"),
            &Value::Null,
        );
    }
}

fn compare_fields(at: (&str, &str), expected: &Value, login: &Value, table: &mut Table) {
    for (path, value) in expected["fields"].as_object().unwrap() {
        if !path.ends_with("duration_ns") {
            table.compare(at, path, login, value);
        }
    }
    if let Some(only) = expected.get("auth_not_other_than") {
        table.compared += 1;
        let said = field(login, "auth.kind").unwrap_or(&Value::Null);
        if said != only && !said.is_null() && said != "unknown" {
            table.row(at.0, at.1, "auth.kind", said, &json!({"sealed": only}));
        }
    }
}

/// Compares where phases end. A phase ends with its message's last segment, and what is expected
/// was sometimes taken at the first; that is no difference, and shifts what follows.
fn compare_phases(
    at: (&str, &str),
    expected: &Value,
    login: &Value,
    segments: &[Segment],
    table: &mut Table,
) {
    let fields = &expected["fields"];
    let order = if fields["tds.encryption"] == "strict" {
        TDS_8
    } else {
        TDS_7
    };
    let start_ns = epoch_ns(expected["syn"].as_str().unwrap());
    let own: Vec<_> = segments
        .iter()
        .filter(|segment| at.1 == written(segment.source) || at.1 == written(segment.destination))
        .copied()
        .collect();
    let agrees = |said_ns: u64, expected_ns: u64| {
        said_ns == expected_ns || is_same_message(&own, start_ns + expected_ns, start_ns + said_ns)
    };
    let (mut said_ns, mut expected_ns) = (0, 0);
    for phase in order {
        let path = format!("phases.{phase}.duration_ns");
        let Some(duration) = fields[&path].as_u64() else {
            continue;
        };
        table.compared += 1;
        expected_ns += duration;
        let said = field(login, &path).cloned().unwrap_or(Value::Null);
        said_ns += said.as_u64().unwrap_or(0);
        if said.is_null() || !agrees(said_ns, expected_ns) {
            table.row(at.0, at.1, &path, &said, &fields[&path]);
            said_ns = expected_ns;
        }
    }
    if let Some(whole_ns) = fields["login.duration_ns"].as_u64() {
        table.compared += 1;
        let said = field(login, "login.duration_ns")
            .cloned()
            .unwrap_or(Value::Null);
        if !said
            .as_u64()
            .is_some_and(|said_ns| agrees(said_ns, whole_ns))
        {
            table.row(at.0, at.1, "login.duration_ns", &said, &json!(whole_ns));
        }
    }
}

/// The events of a kind by client and server, the latest first so that `pop` gives the earliest.
fn of_kind(events: &[Value], kind: &str) -> BTreeMap<(String, String), Vec<Value>> {
    let mut by_ends = BTreeMap::<_, Vec<Value>>::new();
    for event in events.iter().filter(|event| event["event"] == kind) {
        let key = (end(event, "client"), end(event, "server"));
        by_ends.entry(key).or_default().push(event.clone());
    }
    for events in by_ends.values_mut() {
        events.sort_by_key(|event| event["connection"]["start"].as_str().map(str::to_owned));
        events.reverse();
    }
    by_ends
}

fn key_of((client, server): (&Value, &Value)) -> (String, String) {
    let text = |end: &Value| end.as_str().unwrap().to_owned();
    (text(client), text(server))
}

/// `address:port` of one side, as the expectations write it.
fn end(event: &Value, side: &str) -> String {
    let address = event[side]["address"].as_str().unwrap_or("?");
    format!("{address}:{}", event[side]["port"])
}

/// As the expectations write it: IPv6 addresses have no brackets.
fn written(end: SocketAddr) -> String {
    format!("{}:{}", end.ip(), end.port())
}

/// Seconds of the minute and what follows them, which needs no calendar to compare.
fn clock(login: &Value) -> String {
    let start = login["connection"]["start"].as_str().unwrap_or_default();
    start
        .rsplit(':')
        .next()
        .unwrap_or_default()
        .trim_end_matches('Z')
        .to_owned()
}

fn clock_of(seconds: &str) -> String {
    let (seconds, fraction) = seconds.split_once('.').unwrap();
    format!("{:02}.{fraction}", seconds.parse::<u64>().unwrap() % 60)
}

fn epoch_ns(seconds: &str) -> u64 {
    let (whole, fraction) = seconds.split_once('.').unwrap();
    whole.parse::<u64>().unwrap() * 1_000_000_000 + fraction.parse::<u64>().unwrap()
}
