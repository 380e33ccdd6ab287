//! Why: which cause is told first of which login, and that none is told of one that went well.

mod captures;
mod crowds;
mod healthy;
mod neighbours;
mod sequences;
mod single;

use serde_json::Value;

use crate::script::Script;

/// The likeliest cause; nothing where none is told.
fn top(line: &Value) -> &str {
    line["diagnosis"][0]["cause"].as_str().unwrap_or_default()
}

/// How sure a cause is, 0 where it is not told.
fn sure_of(line: &Value, cause: &str) -> f64 {
    let causes = line["diagnosis"].as_array();
    let told = causes.and_then(|causes| causes.iter().find(|told| told["cause"] == cause));
    told.and_then(|told| told["confidence"].as_f64())
        .unwrap_or_default()
}

/// A login of a capture of which so many packets passed, and the rest after a wait; from a port of its
/// own, beginning so much later.
fn waits(capture: &str, kept: usize, (port, later, wait): (u16, u64, u64)) -> Script {
    let mut script = Script::after(capture, kept);
    script.wait(wait).goes_on_from(kept);
    script.copy(port, later)
}
