//! A flood of SYNs hides no login.

use std::process::Stdio;
use std::time::Duration;

use harness::agent::{AT_INTERFACES, Agent, of};
use harness::net::{Network, SERVER_V4};
use harness::peer::{Peer, program};
use harness::process::run;
use harness::root_or_skip;
use serde_json::Value;

use crate::run::{PORT, alone};

const LIMIT: Duration = Duration::from_mins(1);
/// Logins in the flood.
const COUNT: usize = 50;

#[test]
fn logins_in_a_flood_of_syns_are_told_right_and_the_flood_is_counted() {
    root_or_skip!("logins in a flood of SYNs are told right, and the flood is counted");
    let _alone = alone();
    for source in [&[][..], &AT_INTERFACES] {
        flooded(source);
    }
}

fn flooded(source: &[&str]) {
    let network = Network::new().unwrap();
    let listen = format!("{SERVER_V4}:{PORT}");
    // What answers a SYN goes nowhere, and asks nobody the way.
    network
        .server
        .ip(&["route", "add", "blackhole", "10.99.0.0/16"])
        .unwrap();
    let port = PORT.to_string();
    let arguments = [source, &["--port", &port]].concat();
    let mut agent = Agent::start(&network.server, &arguments).unwrap();
    let _server = Peer::scenario(Some(&network.server), &["--listen", &listen]).unwrap();
    let mut flood = network.client.command(program("syn-flood").unwrap());
    flood.args([&listen, "--from", "10.99.0.0", "--millis", "60000"]);
    let mut flood = flood.stdout(Stdio::null()).spawn().unwrap();
    // It has begun once there is more of it than is told.
    let begun = agent.wait(LIMIT, |events| held(events) > 10_000).unwrap();
    let mut client = network.client.command(program("raw-client").unwrap());
    client.arg(&listen).args([
        "--send", "prelogin", "--read", "--wait", "0", "--end", "fin",
    ]);
    client.args(["--count", &COUNT.to_string()]);
    let fared = run(&mut client, "", LIMIT);
    let of_client = |event: &Value| event["process"]["name"] == "raw-client";
    let told = agent.wait(LIMIT, |events| {
        let closes = of(events, "close");
        closes.iter().filter(|close| of_client(close)).count() >= COUNT
    });
    flood.kill().unwrap();
    flood.wait().unwrap();
    let memory = std::fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let record = agent.stop().unwrap();
    assert!(begun, "{:#?}", of(&record.events, "loss"));
    let (status, output) = fared.unwrap();
    assert!(status.success(), "{output}");
    let ours: Vec<_> = of(&record.events, "login")
        .into_iter()
        .filter(of_client)
        .collect();
    assert!(told.unwrap(), "{} of {COUNT} are told", ours.len());
    assert_eq!(ours.len(), COUNT);
    for login in ours {
        assert_eq!(login["connection"]["partial"], false, "{login:#}");
        assert_eq!(login["phases"]["prelogin"]["complete"], true, "{login:#}");
    }
    let most = memory.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let most = most.and_then(|line| line.trim().strip_suffix("kB"));
    let most: u64 = most.unwrap().trim().parse().unwrap();
    assert!(most < 512 * 1024, "{most} KiB of memory");
}

/// SYNs that were held back for good.
fn held(events: &[Value]) -> u64 {
    let losses = of(events, "loss");
    let held = losses
        .iter()
        .filter(|line| line["loss"]["reason"] == "syn_held");
    held.filter_map(|line| line["loss"]["count"].as_u64()).sum()
}
