//! Live equals replay: what the agent said of a connection, and what it says of a capture of the
//! same packets.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::expect::close_enough;
use crate::replay::events_with;

/// Events that both tell.
const EVENTS: [&str; 3] = ["login", "close", "mars"];

/// What only one of them can know, or knows otherwise.
const ONE_SIDED: [&str; 4] = [
    // Whose socket it is only the kernel knows.
    "process",
    // A pcap file names none.
    "connection.interface",
    // The agent finds both sockets in its own kernel; replay has checksums and hops to go by.
    "connection.vantage",
    // The kernel's own estimate, once its socket is closed; the handshake's in replay.
    "tcp.rtt_ns",
];

/// Parts of a phase, divided by what is known of the network between the two vantages.
const PARTS: [&str; 3] = ["client_ns", "server_ns", "network_ns"];

/// The leaves of an event by their dotted paths.
type Leaves = BTreeMap<String, Value>;

/// Where the lines of a live agent and those of a replay of `capture` differ: one line each.
pub fn disagreements(live: &[Value], capture: &Path, port: u16) -> Result<Vec<String>> {
    let port = port.to_string();
    let replayed = events_with(capture, &["--port", &port])?;
    Ok(compare(live, &replayed))
}

/// The same of any two accounts of a connection.
pub fn compare(live: &[Value], replayed: &[Value]) -> Vec<String> {
    let (live, replayed) = (by_name(live), by_name(replayed));
    let mut rows = Vec::new();
    for name in live
        .keys()
        .chain(replayed.keys().filter(|name| !live.contains_key(*name)))
    {
        match (live.get(name), replayed.get(name)) {
            (Some(live), Some(replayed)) => {
                let differing = differences(live, replayed);
                rows.extend(differing.into_iter().map(|row| format!("{name} {row}")));
            }
            (one, _) => rows.push(format!(
                "{name}: only {} says it",
                if one.is_some() { "live" } else { "replay" }
            )),
        }
    }
    rows
}

/// The events that both tell, by what they are about.
fn by_name(events: &[Value]) -> BTreeMap<String, Leaves> {
    let mut named = BTreeMap::new();
    for event in events {
        let kind = event["event"].as_str().unwrap_or_default();
        if !EVENTS.contains(&kind) {
            continue;
        }
        let name = format!(
            "{kind} {} {}",
            event["connection"]["id"], event["mars"]["sid"]
        );
        let mut leaves = Leaves::new();
        collect(String::new(), event, &mut leaves);
        // A second line of the same name would hide the first.
        let again = named
            .keys()
            .filter(|known: &&String| known.starts_with(&name))
            .count();
        named.insert(format!("{name} {again}"), leaves);
    }
    named
}

fn collect(path: String, value: &Value, into: &mut Leaves) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                collect(format!("{path}{dot}{name}"), value, into);
            }
        }
        _ => {
            into.insert(path, value.clone());
        }
    }
}

fn differences(live: &Leaves, replayed: &Leaves) -> Vec<String> {
    let both = [live, replayed];
    let paths = live
        .keys()
        .chain(replayed.keys().filter(|path| !live.contains_key(*path)));
    let mut rows = Vec::new();
    for path in paths {
        let [one, other] = both.map(|leaves| leaves.get(path).unwrap_or(&Value::Null));
        if !is_excepted(path, both) && !agree(path, [one, other]) {
            rows.push(format!("{path}: {one} live, {other} in replay"));
        }
    }
    rows
}

/// Whether a field may differ, for a reason.
fn is_excepted(path: &str, [live, replayed]: [&Leaves; 2]) -> bool {
    if ONE_SIDED.iter().any(|one| path.starts_with(one)) {
        return true;
    }
    // A client's socket that closes has given up; a capture just ends, perhaps before an answer.
    let cut = replayed
        .get("login.outcome")
        .is_some_and(|outcome| outcome == "unreachable")
        && replayed
            .get("connection.partial")
            .is_some_and(|partial| partial == true);
    let name = path.rsplit('.').next().unwrap_or_default();
    match path {
        // The kernel withholds bytes that no framing vouches for, whatever they are.
        "login.stranger" => live.get(path).is_some_and(|stranger| stranger == "other"),
        "connection.partial" | "connection.partial_reasons" => cut,
        _ if PARTS.contains(&name) => {
            cut || live.get("connection.vantage") != replayed.get("connection.vantage")
        }
        _ => false,
    }
}

/// Times agree within what the agent's and tcpdump's hooks lie apart, everything else exactly.
fn agree(path: &str, values: [&Value; 2]) -> bool {
    if let [Some(one), Some(other)] = values.map(Value::as_u64)
        && path.contains("_ns")
    {
        // Quantiles are told in eighths of an octave.
        let step = if matches!(path.rsplit('.').next(), Some("p50" | "p99")) {
            one.max(other) / 8
        } else {
            0
        };
        return close_enough(one, other) || one.abs_diff(other) <= step;
    }
    if let [Some(one), Some(other)] = values.map(clock) {
        return close_enough(one.abs_diff(other), 0);
    }
    values[0] == values[1]
}

/// Nanoseconds since some midnight, of a time; no test runs for a day.
fn clock(time: &Value) -> Option<u64> {
    let (_, clock) = time.as_str()?.strip_suffix('Z')?.split_once('T')?;
    let (seconds, fraction) = clock.split_once('.')?;
    let seconds = seconds
        .split(':')
        .try_fold(0, |sum, part| Some(sum * 60 + part.parse::<u64>().ok()?))?;
    Some(seconds * 1_000_000_000 + fraction.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(one: &Value, other: &Value) -> Vec<String> {
        let leaves = |event: &Value| {
            let mut leaves = Leaves::new();
            collect(String::new(), event, &mut leaves);
            leaves
        };
        differences(&leaves(one), &leaves(other))
    }

    #[test]
    fn times_may_differ_a_little_and_nothing_else_may() {
        let live = json!({
            "timestamp": "2026-11-22T23:59:59.999990000Z",
            "process": {"pid": 1},
            "login": {"outcome": "success", "duration_ns": 1_000_000},
        });
        let mut replayed = live.clone();
        replayed["timestamp"] = json!("2026-11-22T23:59:59.999980000Z");
        replayed["login"]["duration_ns"] = json!(1_010_000);
        replayed["process"] = Value::Null;
        assert!(rows(&live, &replayed).is_empty());

        replayed["login"]["outcome"] = json!("failed");
        replayed["login"]["duration_ns"] = json!(2_000_000);
        replayed["timestamp"] = json!("2026-11-22T23:59:58.999980000Z");
        replayed["tds"] = json!({"mars": false});
        assert_eq!(rows(&live, &replayed).len(), 4);
    }

    #[test]
    fn the_parts_of_a_phase_are_compared_from_the_same_vantage_only() {
        let line = |vantage: &str, client_ns: u64| {
            json!({
                "connection": {"vantage": vantage},
                "phases": {"tls": {"client_ns": client_ns}},
            })
        };
        assert_eq!(rows(&line("both", 1), &line("both", 9_000_000)).len(), 1);
        assert!(rows(&line("both", 1), &line("client", 9_000_000)).is_empty());
    }

    #[test]
    fn an_exception_goes_one_way_only() {
        let told = |stranger: &str, partial: bool, outcome: &str| {
            json!({
                "connection": {"partial": partial},
                "login": {"stranger": stranger, "outcome": outcome},
            })
        };
        let live = told("other", false, "unreachable");
        assert!(rows(&live, &told("http", true, "unreachable")).is_empty());
        assert_eq!(rows(&told("http", false, "unreachable"), &live).len(), 1);
        let aborted = told("other", false, "aborted");
        assert_eq!(rows(&aborted, &told("other", true, "aborted")).len(), 1);
    }
}
