//! Reading lines.

use serde_json::Value;

use crate::{expect::LOGIN_PHASES, replay::field};

/// A text of a line.
pub(super) fn text<'a>(line: &'a Value, path: &str) -> Option<&'a str> {
    field(line, path)?.as_str()
}

/// A number of a line; 0 where there is none.
pub(super) fn number(line: &Value, path: &str) -> u64 {
    field(line, path).and_then(Value::as_u64).unwrap_or(0)
}

/// The phases of a login, in their order.
pub(super) fn phases(line: &Value) -> Vec<(&str, &Value)> {
    let all = line["phases"].as_object().into_iter().flatten();
    let mut own: Vec<_> = all
        .map(|(name, phase)| (name.as_str(), phase))
        .filter(|(name, _)| LOGIN_PHASES.contains(name))
        .collect();
    own.sort_by_key(|(_, phase)| (number(phase, "start_ns"), number(phase, "duration_ns")));
    own
}

/// How much of a login was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// All of it.
    All,
    /// Its later part.
    End,
    /// It has holes, and may lack a phase.
    Parts,
}

/// What breaks the rule of sums: phases follow each other, what each side took of one makes the
/// whole of it, and the phases make the login where its beginning was seen.
pub(super) fn sums(line: &Value, seen: Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let phases = phases(line);
    let mut at = phases
        .first()
        .map_or(0, |(_, first)| number(first, "start_ns"));
    if seen == Seen::All && at != 0 {
        wrong.push(format!(
            "the first phase does not start with the connection: {at}"
        ));
    }
    for (name, phase) in &phases {
        let start = number(phase, "start_ns");
        if start != at && seen != Seen::Parts {
            wrong.push(format!(
                "phases leave a gap: {name} starts at {start}, not at {at}"
            ));
        }
        let parts = ["client_ns", "server_ns", "network_ns"].map(|part| number(phase, part));
        let duration = number(phase, "duration_ns");
        let is_shared = ["client_ns", "server_ns", "network_ns"]
            .iter()
            .any(|part| !phase[part].is_null());
        if !is_shared && lacks_packets(line) {
            // Whose time it was cannot be known then.
            at = start + duration;
            continue;
        }
        if parts.iter().sum::<u64>() != duration {
            wrong.push(format!(
                "the parts of {name} do not make it: {parts:?} of {duration}"
            ));
        }
        at = start + duration;
    }
    if seen == Seen::All && !phases.is_empty() && number(line, "login.duration_ns") != at {
        let duration = number(line, "login.duration_ns");
        wrong.push(format!("phases do not make the login: {at} of {duration}"));
    }
    wrong
}

/// Whether the line says that packets are missing, not only that the agent stopped.
fn lacks_packets(line: &Value) -> bool {
    let reasons = line["connection"]["partial_reasons"].as_array();
    reasons.is_some_and(|reasons| reasons.iter().any(|reason| reason != "agent_stop"))
}

/// Adds a complaint where something is not so.
pub(super) fn demand(
    wrong: &mut Vec<String>,
    is_so: bool,
    what: &str,
    how: impl FnOnce() -> String,
) {
    if !is_so {
        wrong.push(format!("{what}: {}", how()));
    }
}
