//! What was there before the agent.

use std::time::Duration;

use harness::agent::{Agent, Record, of};
use harness::agree::{ASK_ALL, disagreements};
use harness::capture::{Capture, Captured};
use harness::net::Network;
use harness::peer::Peer;
use harness::root_or_skip;
use harness::visitor::Visitor;

use crate::run::{PORT, alone};

#[test]
fn a_connection_older_than_the_agent_is_partial_and_has_its_process() {
    root_or_skip!("a connection older than the agent is partial and has its process");
    let _alone = alone();
    let (record, captured, pid) = joined_late();
    // After the silence the first packet finds nothing in the caches, so its two stamps lie
    // further apart than those of others.
    let mut differences = disagreements(&record.events, captured.file(), PORT, &[]).unwrap();
    differences.retain(|difference| !difference.is_time);
    assert_eq!(differences, [], "{:#?}", record.events);
    let logins = of(&record.events, "login");
    let login = logins.first().unwrap_or_else(|| panic!("{record:#?}"));
    assert_eq!(login["login"]["outcome"], "unknown", "{login:#}");
    assert_eq!(
        login["connection"]["partial_reasons"][0], "joined_late",
        "{login:#}"
    );
    assert_eq!(login["process"]["name"], "raw-client", "{login:#}");
    assert_eq!(login["process"]["pid"], pid, "{login:#}");
}

/// What is said of a connection whose PRELOGIN was answered before anybody watched, and the process
/// that made it.
fn joined_late() -> (Record, Captured, u32) {
    let network = Network::new().unwrap();
    let port = PORT.to_string();
    let address = format!("127.0.0.1:{PORT}");
    let _server = Peer::scenario(Some(&network.client), &["--listen", &address]).unwrap();
    let client = Visitor::answered(&network.client, &address, &["--again"]).unwrap();

    let arguments = [&["--port", port.as_str()][..], &ASK_ALL].concat();
    let mut agent = Agent::start(&network.client, &arguments).unwrap();
    let capture = Capture::start(&network.client, "lo", PORT).unwrap();
    let pid = client.pid();
    client.leave().unwrap();
    for event in ["login", "close"] {
        agent.wait_for(event, 1, Duration::from_secs(20)).unwrap();
    }
    let captured = capture.stop().unwrap();
    (agent.stop().unwrap(), captured, pid)
}
