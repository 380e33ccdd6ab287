//! Connections that had to give way in the kernel's table.

use std::time::Duration;

use harness::agent::{Agent, of};
use harness::net::Namespace;
use harness::peer::Peer;
use harness::process::run;
use harness::root_or_skip;
use harness::visitor::Visitor;
use serde_json::Value;

/// Refused connections, each of which stays in the table until another takes its place; no more in
/// a second than the agent itself remembers.
const REFUSED: &str =
    "for _ in {1..200}; do : < /dev/tcp/127.0.0.1/1434; sleep 0.025; done 2> /dev/null; true";

/// The ends of the connections to the server that is there.
fn closes(events: &[Value]) -> Vec<Value> {
    let mut closes = of(events, "close");
    closes.retain(|close| close["server"]["port"] == 1433);
    closes
}

#[test]
fn a_connection_that_the_kernel_forgot_closes_when_it_ends() {
    root_or_skip!("a connection that the kernel forgot closes when it ends");
    let host = Namespace::new("l").unwrap();
    let address = "127.0.0.1:1433";
    let _server = Peer::scenario(Some(&host), &["--listen", address]).unwrap();
    let ports = ["--port", "1433", "--port", "1434", "--max-flows", "64"];
    let mut agent = Agent::start(&host, &ports).unwrap();
    let clients =
        ["fin", "rst"].map(|end| Visitor::answered(&host, address, &["--end", end]).unwrap());
    let limit = Duration::from_secs(20);
    run(host.command("bash").args(["-c", REFUSED]), "", limit).unwrap();
    for client in clients {
        client.leave().unwrap();
    }
    agent
        .wait(limit, |events| closes(events).len() == 2)
        .unwrap();

    let record = agent.stop().unwrap();
    let mut ends: Vec<_> = closes(&record.events)
        .into_iter()
        .map(|close| {
            assert_eq!(close["close"]["by"], "client", "{close:#}");
            let reasons = close["connection"]["partial_reasons"].as_array();
            assert_eq!(*reasons.unwrap(), ["events_lost"], "{close:#}");
            close["close"]["how"].as_str().unwrap().to_owned()
        })
        .collect();
    ends.sort_unstable();
    assert_eq!(ends, ["fin", "rst"]);
}
