//! What was there before the agent.

use std::process::Stdio;
use std::time::Duration;

use harness::agent::{Agent, Record, of};
use harness::agree::{ASK_ALL, disagreements};
use harness::capture::{Capture, Captured};
use harness::net::Network;
use harness::peer::{Peer, program};
use harness::root_or_skip;

use crate::run::{PORT, alone};

#[test]
fn a_connection_older_than_the_agent_is_partial_and_has_its_process() {
    root_or_skip!("a connection older than the agent is partial and has its process");
    let _alone = alone();
    let (record, captured, pid) = joined_late();
    // After seconds of silence the first packet finds nothing in the caches, so its two stamps lie
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
    let mut client = network
        .client
        .command(program("raw-client").unwrap())
        .args([&address, "--send", "prelogin", "--read"])
        .args(["--wait", "5000", "--again"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // Until its PRELOGIN has been answered.
    std::thread::sleep(Duration::from_secs(1));

    let arguments = [&["--port", port.as_str()][..], &ASK_ALL].concat();
    let mut agent = Agent::start(&network.client, &arguments).unwrap();
    let capture = Capture::start(&network.client, "lo", PORT).unwrap();
    agent.wait_for("login", 1, Duration::from_secs(20)).unwrap();
    let pid = client.id();
    client.wait().unwrap();
    let captured = capture.stop().unwrap();
    (agent.stop().unwrap(), captured, pid)
}
