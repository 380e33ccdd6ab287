//! What the agent remembers from one run to the next.

use std::fs;

use harness::agent::{Agent, of};
use harness::drivers::{Driver, Encrypt, Login};
use harness::net::Namespace;
use harness::peer::Peer;
use harness::{driver_or_skip, root_or_skip};
use serde_json::Value;

use super::{ADDRESS, LIMIT};
use crate::run::alone;

/// An agent that keeps its state there, of which a client logs in; what it said.
fn runs(host: &Namespace, state: &str) -> Vec<Value> {
    let _server =
        Peer::scenario(Some(host), &["--listen", ADDRESS, "--encrypt", "not-sup"]).unwrap();
    let mut agent = Agent::start(host, &["--state", state]).unwrap();
    let login = Login::to("127.0.0.1", 1433, Encrypt::Off);
    Driver::Tsql.run(Some(host), &login).unwrap();
    agent.wait_for("close", 1, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    assert!(record.success, "{record:#?}");
    record.events
}

/// What was said to be degraded about the state.
fn complaints(events: &[Value]) -> Vec<Value> {
    let agent = of(events, "agent").into_iter();
    let degraded = agent.filter(|line| line["agent"]["reason"] == "state");
    degraded
        .map(|line| line["agent"]["detail"].clone())
        .collect()
}

#[test]
fn what_is_usual_is_remembered_and_a_broken_file_is_said_and_written_anew() {
    root_or_skip!("what is usual is remembered and a broken file is said and written anew");
    driver_or_skip!(Driver::Tsql);
    let _alone = alone();
    let host = Namespace::new("l").unwrap();
    let directory = std::env::temp_dir().join(format!("tds-state-{}", std::process::id()));
    let file = directory.join("baselines.json");
    let state = directory.to_str().unwrap();
    assert!(complaints(&runs(&host, state)).is_empty());
    let first = fs::read_to_string(&file).unwrap();
    assert!(first.contains("\"127.0.0.1\""), "{first}");

    assert!(complaints(&runs(&host, state)).is_empty());
    let second: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let handshakes = second["servers"][0]["phases"]["handshake"]
        .as_array()
        .unwrap();
    let count: u64 = handshakes.iter().map(|one| one[1].as_u64().unwrap()).sum();
    assert_eq!(count, 2, "both runs' logins: {second}");

    fs::write(&file, &first[..first.len() / 2]).unwrap();
    let told = complaints(&runs(&host, state));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].as_str().unwrap().contains("baselines.json"),
        "{told:?}"
    );
    let third: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(third["version"], 1);
    fs::remove_dir_all(&directory).unwrap();
}
