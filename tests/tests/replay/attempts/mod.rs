//! What is said of attempts: what belongs together is one, and what does not is not.

mod captured;
mod changed;
mod mixed;
mod scripted;
mod why;

use harness::replay::field;
use serde_json::{Value, json};

/// The parts of an attempt: kind, outcome, start, duration, and whether it lost a race.
fn parts(attempt: &Value) -> Vec<Value> {
    let parts = field(attempt, "attempt.parts").unwrap().as_array().unwrap();
    let told = |part: &Value| {
        json!([
            part["kind"],
            part["outcome"],
            part["start_ns"],
            part["duration_ns"],
            part["loser"] == true
        ])
    };
    parts.iter().map(told).collect()
}
