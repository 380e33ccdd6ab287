//! What is said of an attempt live, and of the packets that were captured meanwhile.

use serde_json::Value;

/// How far apart two accounts of a time may be, nanoseconds, or as a part of it.
const APART_NS: u64 = 50_000;
const PART: u64 = 20;

/// Times of an attempt's parts that differ by more than 50 microseconds and by more than 5 %. Whoever takes the
/// processor between the stamps of the agent and of tcpdump is to blame as well.
pub fn times_apart(live: &Value, replayed: &Value) -> Vec<String> {
    // Of two that begin at once either may be told first.
    let parts = |attempt: &Value| {
        let parts = attempt["attempt"]["parts"].as_array();
        let mut parts = parts.cloned().unwrap_or_default();
        parts.sort_by_key(|part| [&part["kind"], &part["connection_id"]].map(ToString::to_string));
        parts
    };
    let both = parts(live).into_iter().zip(parts(replayed));
    let pairs = both.flat_map(|(live, replayed)| {
        ["start_ns", "duration_ns"].map(|name| {
            let times = [&live, &replayed].map(|part| part[name].as_u64().unwrap_or_default());
            (format!("{} of {}", name, live["kind"]), times)
        })
    });
    let apart = pairs
        .filter(|(_, [live, replayed])| live.abs_diff(*replayed) > APART_NS.max(replayed / PART));
    apart
        .map(|(what, [live, replayed])| format!("{what}: {live} live, {replayed} in replay"))
        .collect()
}

/// What is apart each time: the processor may be taken away between two stamps, but not every time.
pub fn apart_each_time(mut measure: impl FnMut() -> Vec<String>) -> Vec<String> {
    let mut apart = measure();
    for _ in 0..2 {
        if !apart.is_empty() {
            apart = measure();
        }
    }
    apart
}
