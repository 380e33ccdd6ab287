//! The agent's own log, and that of its kernel programs.

use std::time::Duration;

use harness::agent::{Agent, Record};
use harness::net::Network;
use harness::peer::program;
use harness::process::run;
use harness::root_or_skip;

/// What an agent with these options says of a refused connection.
fn refused(options: &[&str]) -> Record {
    let network = Network::new().unwrap();
    let mut agent = Agent::start(&network.client, options).unwrap();
    let limit = Duration::from_secs(20);
    let mut client = network.client.command(program("raw-client").unwrap());
    let (status, _) = run(client.arg("127.0.0.1:1433"), "", limit).unwrap();
    assert!(!status.success());
    agent.wait_for("close", 1, limit).unwrap();
    agent.stop().unwrap()
}

#[test]
fn the_programs_speak_in_the_agents_log_only_when_asked() {
    root_or_skip!("the programs speak in the agent's log only when asked");
    let words = "new flow of ports 1433 and ";
    let log = refused(&["--log-level", "debug"]).log;
    assert!(log.contains(words), "{log}");
    let log = refused(&[]).log;
    assert!(!log.contains(words), "{log}");
}
