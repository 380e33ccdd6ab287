//! What a login's lines must say, and what a packet capture of the same run says of it.

use serde_json::Value;

mod flights;

pub use flights::{End, Shape, cut_phases, last_reply, leaving, phases};

/// Whether a duration is within 150 µs of another: a socket's packets are seen somewhat before they pass an
/// interface, and the processor may be busy meanwhile.
pub fn close_enough(one: u64, other: u64) -> bool {
    one.abs_diff(other) <= 150_000
}

/// Names of the phases that a `login` or `close` line must have together
/// make up the login's duration.
pub const LOGIN_PHASES: [&str; 5] = ["handshake", "prelogin", "tls", "login", "auth"];

/// The phases of a line, in the order of their start: name, start, duration.
pub fn line_phases(line: &Value) -> Vec<(String, u64, u64)> {
    let mut phases: Vec<_> = line["phases"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, phase)| {
            let number = |field: &str| phase[field].as_u64().unwrap_or_default();
            (name.clone(), number("start_ns"), number("duration_ns"))
        })
        .collect();
    phases.sort_by_key(|(_, start, duration)| (*start, *duration));
    phases
}

/// Panics unless the phases of a login follow each other without a gap, add
/// up to its duration, and give each side its part.
pub fn assert_sums(line: &Value) {
    let phases: Vec<_> = line_phases(line)
        .into_iter()
        .filter(|(name, ..)| LOGIN_PHASES.contains(&name.as_str()))
        .collect();
    let mut at = 0;
    for (name, start, duration) in &phases {
        assert_eq!(
            *start, at,
            "{name} does not start where the phase before it ended: {line:#}"
        );
        at += duration;
        let phase = &line["phases"][name];
        let parts = ["client_ns", "server_ns", "network_ns"]
            .map(|part| phase[part].as_u64().unwrap_or_default());
        assert_eq!(
            parts.iter().sum::<u64>(),
            *duration,
            "the parts of {name} do not add up: {line:#}"
        );
    }
    assert_eq!(
        line["login"]["duration_ns"].as_u64(),
        Some(at),
        "phases do not add up: {line:#}"
    );
}

/// Panics unless every phase of a login took as long as the capture says.
pub fn assert_times(line: &Value, ends: &[End]) {
    let mut before = 0;
    for (name, end) in ends {
        assert_phase(line, name, end - before);
        before = *end;
    }
}

/// Panics unless a phase took as many nanoseconds as were captured.
pub fn assert_phase(line: &Value, name: &str, captured: u64) {
    let told = line["phases"][name]["duration_ns"].as_u64();
    let told = told.unwrap_or_else(|| panic!("no phase {name}: {line:#}"));
    assert!(
        close_enough(told, captured),
        "{name} took {captured} ns by the capture, {told} ns by the agent: {line:#}"
    );
}
