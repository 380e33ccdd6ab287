//! What was there before the agent.

use std::process::Stdio;
use std::time::Duration;

use harness::agent::Agent;
use harness::net::Network;
use harness::peer::{Peer, program};
use harness::root_or_skip;

const PORT: &str = "1433";

#[test]
fn a_connection_older_than_the_agent_is_partial_and_has_its_process() {
    root_or_skip!("a connection older than the agent is partial and has its process");
    let network = Network::new().unwrap();
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

    let mut agent = Agent::start(&network.client, &["--port", PORT]).unwrap();
    let limit = Duration::from_secs(20);
    let logins = agent.wait_for("login", 1, limit).unwrap();
    let record = agent.stop().unwrap();
    let pid = client.id();
    client.wait().unwrap();

    let login = logins.first().unwrap_or_else(|| panic!("{record:#?}"));
    assert_eq!(login["login"]["outcome"], "unknown", "{login:#}");
    assert_eq!(
        login["connection"]["partial_reasons"][0], "joined_late",
        "{login:#}"
    );
    assert_eq!(login["process"]["name"], "raw-client", "{login:#}");
    assert_eq!(login["process"]["pid"], pid, "{login:#}");
}
