//! Live equals replay: what the agent said of a connection, and what it says of a capture of the
//! same packets.

mod fields;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use self::fields::{Latitude, Leaves, differences, leaves};
use crate::replay::events_with;

/// The events that tell of a connection; `agent` tells of the agent, and `loss` of all connections.
const EVENTS: [&str; 5] = ["login", "close", "phase", "request", "mars"];

/// What an agent must be asked for to say all that is compared.
pub const ASK_ALL: [&str; 2] = ["--events", "+phase,+request"];

/// Something that one account says and the other does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where it is, what the one says, and what the other does.
    pub row: String,
    /// Whether it is how far apart two times are, or which of two ends that crossed was the first:
    /// whoever takes the processor between the stamp of the agent's hook and that of tcpdump's is to
    /// blame as well.
    pub is_time: bool,
}

impl Difference {
    fn of_lines(row: String) -> Self {
        Self {
            row,
            is_time: false,
        }
    }
}

/// What asks for all events, where these options do not say which.
pub fn asked(options: &[&str]) -> &'static [&'static str] {
    if options.contains(&"--events") {
        &[]
    } else {
        &ASK_ALL
    }
}

/// Where the lines of a live agent with these options and those of a replay of `capture` differ.
pub fn disagreements(
    live: &[Value],
    capture: &Path,
    port: u16,
    options: &[&str],
) -> Result<Vec<Difference>> {
    let port = port.to_string();
    let arguments = [&["--port", &port][..], asked(options), options].concat();
    let replayed = events_with(capture, &arguments)?;
    Ok(compare(live, &replayed))
}

/// The same of any two accounts of the same packets.
pub fn compare(live: &[Value], replayed: &[Value]) -> Vec<Difference> {
    let [lost, lost_in_replay] = [live, replayed].map(losses);
    let [live, replayed] = [live, replayed].map(by_connection);
    let mut rows = Vec::new();
    if lost != lost_in_replay {
        let row = format!("lost: {lost:?} live, {lost_in_replay:?} in replay");
        rows.push(Difference::of_lines(row));
    }
    let only_replayed = replayed.keys().filter(|id| !live.contains_key(*id));
    for id in live.keys().chain(only_replayed) {
        let [one, other] =
            [&live, &replayed].map(|told| told.get(id).map_or(&[][..], Vec::as_slice));
        let differing = of_connection(one, other).into_iter();
        rows.extend(differing.map(|difference| Difference {
            row: format!("{id} {}", difference.row),
            ..difference
        }));
    }
    rows
}

/// A line: its event, and what it says.
type Line = (String, Leaves);

/// The same lines in the same order, and each says the same.
fn of_connection(live: &[Line], replayed: &[Line]) -> Vec<Difference> {
    let [one, other] = [live, replayed].map(kinds);
    if one != other {
        let row = format!("has {one} live, {other} in replay");
        return vec![Difference::of_lines(row)];
    }
    let pairs = || live.iter().zip(replayed);
    // A line about a phase or a request does not say where the packets were seen.
    let latitude = pairs()
        .map(|((_, live), (_, replayed))| Latitude::of(live, replayed))
        .fold(Latitude::default(), Latitude::or);
    let rows = pairs().flat_map(|((kind, live), (_, replayed))| {
        let differing = differences(live, replayed, latitude).into_iter();
        differing.map(move |difference| Difference {
            row: format!("{kind} {}", difference.row),
            ..difference
        })
    });
    rows.collect()
}

/// The lines of each connection, in their order.
fn by_connection(events: &[Value]) -> BTreeMap<String, Vec<Line>> {
    let mut told = BTreeMap::<_, Vec<_>>::new();
    for event in events {
        let kind = event["event"].as_str().unwrap_or_default();
        if EVENTS.contains(&kind) {
            let id = event["connection"]["id"].as_str().unwrap_or_default();
            let line = (kind.to_owned(), leaves(event));
            told.entry(id.to_owned()).or_default().push(line);
        }
    }
    told
}

fn kinds(lines: &[Line]) -> String {
    let kinds: Vec<_> = lines.iter().map(|(kind, _)| kind.as_str()).collect();
    kinds.join(" ")
}

/// How much was lost, by reason. When that is told is a matter of when somebody looked.
fn losses(events: &[Value]) -> BTreeMap<String, u64> {
    let mut lost = BTreeMap::new();
    for event in events.iter().filter(|event| event["event"] == "loss") {
        let reason = event["loss"]["reason"].as_str().unwrap_or_default();
        // The kernel withholds bytes that no framing vouches for; a capture has them.
        if reason != "withheld" {
            *lost.entry(reason.to_owned()).or_default() +=
                event["loss"]["count"].as_u64().unwrap_or_default();
        }
    }
    lost
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn close(vantage: &str, client_ns: u64, network_ns: u64) -> Value {
        json!({
            "event": "close",
            "timestamp": "2026-11-22T23:59:59.999990000Z",
            "process": {"pid": 1},
            "connection": {"id": "1", "vantage": vantage, "partial": false},
            "login": {"outcome": "success", "duration_ns": 9_000_000},
            "phases": {"tls": {
                "duration_ns": 9_000_000,
                "client_ns": client_ns,
                "server_ns": 9_000_000 - client_ns - network_ns,
                "network_ns": network_ns,
            }},
        })
    }

    fn rows(live: &Value, replayed: &Value) -> Vec<Difference> {
        compare(std::slice::from_ref(live), std::slice::from_ref(replayed))
    }

    #[test]
    fn times_may_differ_by_150_microseconds_and_nothing_else_may() {
        let live = close("both", 1_000_000, 0);
        let mut replayed = live.clone();
        replayed["timestamp"] = json!("2026-11-22T23:59:59.999840000Z");
        replayed["login"]["duration_ns"] = json!(9_150_000);
        replayed["process"] = Value::Null;
        assert_eq!(rows(&live, &replayed), []);

        replayed["timestamp"] = json!("2026-11-22T23:59:59.999839000Z");
        replayed["login"]["duration_ns"] = json!(9_150_001);
        let found = rows(&live, &replayed);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|difference| difference.is_time));

        replayed = live.clone();
        replayed["login"]["outcome"] = json!("failed");
        replayed["tds"] = json!({"mars": false});
        let found = rows(&live, &replayed);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|difference| !difference.is_time));
    }

    #[test]
    fn lines_must_be_as_many_and_in_the_same_order() {
        let close = close("both", 1_000_000, 0);
        let mut request = close.clone();
        request["event"] = json!("request");
        let live = [request.clone(), close.clone()];
        for replayed in [vec![], vec![close.clone()], vec![close, request]] {
            assert_eq!(compare(&live, &replayed).len(), 1);
            assert_eq!(compare(&replayed, &live).len(), 1);
        }
        assert_eq!(compare(&live, &live), []);
    }

    #[test]
    fn from_a_side_that_is_not_known_only_the_network_has_more() {
        let live = close("both", 1_000_000, 0);
        let less = close("unknown", 800_000, 500_000);
        assert_eq!(rows(&live, &less), []);
        // The agent knows what replay knows, and nobody takes one side for the other.
        assert!(!rows(&less, &live).is_empty());
        assert!(!rows(&close("client", 1, 0), &close("server", 1, 0)).is_empty());
        assert!(!rows(&live, &close("unknown", 1_200_000, 0)).is_empty());
        assert!(!rows(&live, &close("both", 800_000, 500_000)).is_empty());
    }

    #[test]
    fn which_phase_was_the_slowest_is_a_matter_of_time_where_two_are_as_slow() {
        let told = |slowest: &str, login_ns: u64| {
            let mut line = close("both", 1_000_000, 0);
            line["phases"]["login"] = json!({"duration_ns": login_ns});
            line["login"]["slowest_phase"] = json!(slowest);
            line
        };
        assert_eq!(rows(&told("tls", 8_999_000), &told("login", 9_001_000)), []);
        assert_eq!(
            rows(&told("tls", 5_000_000), &told("login", 5_000_000)).len(),
            1
        );
        assert_eq!(
            rows(&told("tls", 9_000_000), &told("prelogin", 9_000_000)).len(),
            1
        );
    }

    #[test]
    fn parts_that_are_not_the_duration_are_found_in_either_account() {
        let right = close("both", 1_000_000, 0);
        let mut wrong = right.clone();
        wrong["phases"]["tls"]["client_ns"] = json!(1_000_001);
        assert_eq!(rows(&right, &wrong).len(), 1);
        assert_eq!(rows(&wrong, &right).len(), 1);
    }

    #[test]
    fn a_capture_may_end_before_an_answer_to_a_syn_and_the_agent_may_not() {
        let told = |outcome: &str, stranger: &str, reasons: Value| {
            let mut line = close("client", 1_000_000, 0);
            line["login"]["outcome"] = json!(outcome);
            line["login"]["stranger"] = json!(stranger);
            line["connection"]["partial"] = json!(reasons != json!([]));
            line["connection"]["partial_reasons"] = reasons;
            line
        };
        let whole = told("unreachable", "other", json!([]));
        let ends = told("unreachable", "http", json!(["agent_stop"]));
        assert_eq!(rows(&whole, &ends), []);
        assert_eq!(rows(&ends, &whole).len(), 3);
        let ends = told("unreachable", "http", json!(["gap"]));
        assert_eq!(rows(&whole, &ends).len(), 2);
        let [whole, ends] =
            [json!([]), json!(["agent_stop"])].map(|reasons| told("aborted", "other", reasons));
        assert_eq!(rows(&whole, &ends).len(), 2);
    }
}
