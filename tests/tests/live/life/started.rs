//! Connections that are open while the agent starts.

use std::process::Stdio;
use std::time::Duration;

use harness::agent::{Agent, of};
use harness::net::{Network, SERVER_V4};
use harness::peer::{Peer, program};
use harness::root_or_skip;
use serde_json::Value;

use crate::run::{PORT, alone};

const LIMIT: Duration = Duration::from_mins(1);

#[test]
fn no_connection_is_seen_from_one_side_only_while_the_agent_starts() {
    root_or_skip!("no connection is seen from one side only while the agent starts");
    let _alone = alone();
    let network = Network::new().unwrap();
    let listen = format!("{SERVER_V4}:{PORT}");
    let _server = Peer::scenario(Some(&network.server), &["--listen", &listen]).unwrap();
    let mut clients: Vec<_> = (0..2)
        .map(|_| {
            let mut client = network.client.command(program("raw-client").unwrap());
            client.arg(&listen).args(["--send", "prelogin", "--read"]);
            client.args(["--wait", "0", "--end", "rst", "--count", "60000"]);
            client.stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    let arguments = ["--port", "1433", "--events", "all"];
    let mut agent = Agent::start(&network.client, &arguments).unwrap();
    agent.wait_for("close", 500, LIMIT).unwrap();
    for client in &mut clients {
        client.kill().unwrap();
        client.wait().unwrap();
    }
    let record = agent.stop().unwrap();
    let closes = of(&record.events, "close");
    let packets = |close: &Value, side: &str| close["tcp"]["packets"][side].as_u64().unwrap();
    // Of the last ones a client that was killed may have sent a SYN and no more.
    let one_sided: Vec<_> = closes
        .iter()
        .filter(|close| close["connection"]["partial_reasons"][0] == "joined_late")
        .filter(|close| packets(close, "client") == 0 || packets(close, "server") == 0)
        .filter(|close| packets(close, "client") + packets(close, "server") > 1)
        .collect();
    assert!(
        closes.len() >= 500,
        "{} {:#?}",
        closes.len(),
        of(&record.events, "loss")
    );
    assert!(
        one_sided.is_empty(),
        "{} of {}: {:#}",
        one_sided.len(),
        closes.len(),
        one_sided[0]
    );
}
