//! What replay says of the captures beside the tests.

use std::path::{Path, PathBuf};

use harness::agent::of;
use harness::replay::{events, events_with, field};
use serde_json::{Value, json};

/// A capture beside the tests.
pub(crate) fn path(capture: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    fixtures.join(format!("{capture}.pcap"))
}

/// What is said of a capture where everything is asked for, in the order of the connections.
pub(crate) fn told(capture: &str) -> Vec<Value> {
    told_with(capture, "show")
}

/// The same with names as this policy has them.
pub(crate) fn told_with(capture: &str, identities: &str) -> Vec<Value> {
    let options = ["--identities", identities, "--events", "+request"];
    let mut events = events_with(&path(capture), &options).unwrap();
    // Stable: the events of one connection stay in their order.
    events.sort_by_key(|event| event["connection"]["start"].as_str().map(str::to_owned));
    events
}

/// A capture's `login` lines, in the order of their connections.
pub(crate) fn logins(capture: &str) -> Vec<Value> {
    of(&told(capture), "login")
}

/// The `login` of a capture of one connection.
pub(crate) fn login(capture: &str) -> Value {
    only(&told(capture), "login")
}

/// The only line of a kind.
pub(crate) fn only(events: &[Value], kind: &str) -> Value {
    let lines = of(events, kind);
    assert_eq!(lines.len(), 1, "{kind}: {events:#?}");
    lines[0].clone()
}

/// The `login` and `close` lines of a capture, each in the order of their connections' starts.
pub(crate) fn lines(capture: &str) -> [Vec<Value>; 2] {
    let mut all = events(&path(capture)).unwrap();
    all.sort_by_key(|event| event["connection"]["start"].as_str().map(str::to_owned));
    ["login", "close"].map(|kind| {
        let of_kind = all.iter().filter(|event| event["event"] == kind);
        of_kind.cloned().collect()
    })
}

/// Says that `line` has these values, `null` where nothing is to be said; phases as a list of
/// name, nanoseconds and whether it was complete, in the order they happened in.
pub(crate) fn says(line: &Value, expected: &Value) {
    for (path, expected) in expected.as_object().unwrap() {
        if path != "phases" {
            let said = field(line, path).cloned().unwrap_or(Value::Null);
            assert_eq!(said, *expected, "{path} of {line}");
        }
    }
    let Some(expected) = expected["phases"].as_array() else {
        return;
    };
    let mut phases: Vec<_> = line["phases"].as_object().unwrap().iter().collect();
    phases.sort_by_key(|(_, phase)| phase["start_ns"].as_u64());
    let said: Vec<_> = phases
        .iter()
        .map(|(name, phase)| json!([name, phase["duration_ns"], phase["complete"]]))
        .collect();
    assert_eq!(said, *expected, "phases of {line}");
    let sum: u64 = phases
        .iter()
        .filter_map(|(_, phase)| phase["duration_ns"].as_u64())
        .sum();
    assert_eq!(line["login"]["duration_ns"], sum);
}
