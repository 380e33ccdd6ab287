//! The agent's own log, and that of its kernel programs.

use std::io::{self, BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::agent::{Agent, Record};
use harness::agree::ASK_ALL;
use harness::capture::{Capture, Captured};
use harness::net::{Namespace, Network};
use harness::peer::program;
use harness::process::run;
use harness::root_or_skip;

use crate::run::{PORT, agreeing, alone};

/// What an agent with these options says of a refused connection.
fn refused(options: &[&str]) -> Record {
    let observe = || {
        let (record, captured) = observed(options);
        (record, captured, ())
    };
    agreeing(&[], observe).0
}

fn observed(options: &[&str]) -> (Record, Captured) {
    let network = Network::new().unwrap();
    let arguments = [options, &ASK_ALL].concat();
    let mut agent = Agent::start(&network.client, &arguments).unwrap();
    let capture = Capture::start(&network.client, "lo", PORT).unwrap();
    let limit = Duration::from_secs(20);
    let mut client = network.client.command(program("raw-client").unwrap());
    let (status, _) = run(client.arg("127.0.0.1:1433"), "", limit).unwrap();
    assert!(!status.success());
    agent.wait_for("close", 1, limit).unwrap();
    let captured = capture.stop().unwrap();
    (agent.stop().unwrap(), captured)
}

#[test]
fn the_programs_speak_in_the_agents_log_only_when_asked() {
    root_or_skip!("the programs speak in the agent's log only when asked");
    let _alone = alone();
    let words = "new flow of ports 1433 and ";
    let log = refused(&["--log-level", "debug"]).log;
    assert!(log.contains(words), "{log}");
    let log = refused(&[]).log;
    assert!(!log.contains(words), "{log}");
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    root_or_skip!("a log that nobody reads stops nothing");
    let host = Namespace::new("l").unwrap();
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut agent = host
        .command(program("tds-tracer").unwrap())
        .args(["run", "--log-level", "debug"])
        .stdout(Stdio::piped())
        .stderr(writer)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines();
    let started = lines.any(|line| line.unwrap().contains(r#""action":"start""#));
    assert!(started, "{:?}", agent.wait());
    let stopped = Command::new("kill").arg(agent.id().to_string()).status();
    assert!(stopped.unwrap().success());
    let last = lines.last().unwrap().unwrap();
    assert!(last.contains(r#""action":"stop""#), "{last}");
    assert_eq!(agent.wait().unwrap().code(), Some(0));
}
