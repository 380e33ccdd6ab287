//! Everything that a login can be, row by row: captures of real clients, and of each what must be
//! said, in whole. Times were read off the captured packets by another program.

mod encryption;
mod entra;
mod given_up;
mod mars;
mod ntlm;
mod reply;
mod requests;
mod spnego;
mod strangers;

use std::path::{Path, PathBuf};

use harness::agent::of;
use harness::replay::events_with;
use serde_json::Value;

/// What is said of a capture where everything is asked for, in the order of the connections.
fn told(capture: &str) -> Vec<Value> {
    told_with(capture, "show")
}

/// The same with names as this policy has them.
fn told_with(capture: &str, identities: &str) -> Vec<Value> {
    let options = ["--identities", identities, "--events", "+request"];
    let mut events = events_with(&path(capture), &options).unwrap();
    // Stable: the events of one connection stay in their order.
    events.sort_by_key(|event| event["connection"]["start"].as_str().map(str::to_owned));
    events
}

fn path(capture: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    fixtures.join(format!("{capture}.pcap"))
}

/// A capture's `login` lines, in the order of their connections.
fn logins(capture: &str) -> Vec<Value> {
    of(&told(capture), "login")
}

/// The `login` of a capture of one connection.
fn login(capture: &str) -> Value {
    only(&told(capture), "login")
}

/// The only line of a kind.
fn only(events: &[Value], kind: &str) -> Value {
    let lines = of(events, kind);
    assert_eq!(lines.len(), 1, "{kind}: {events:#?}");
    lines[0].clone()
}
