//! What a watched process tries without a packet, and that it tries nothing.

use std::time::Duration;

use harness::agent::{Agent, of};
use harness::net::{Network, SERVER_V4};
use harness::peer::{Peer, program};
use harness::process::{Running, run};
use harness::{root, root_or_skip};
use serde_json::Value;

use crate::run::PORT;

const LIMIT: Duration = Duration::from_mins(1);
/// A network that nobody has a route to.
const NOWHERE: &str = "203.0.113.9:1433";

/// The first attempt of a process that no packet shows, once it is told.
fn untried(agent: &mut Agent, pid: u32) -> Value {
    let is_it = |line: &Value| line["event"] == "attempt" && line["process"]["pid"] == pid;
    agent
        .wait(LIMIT, |events| events.iter().any(is_it))
        .unwrap();
    let events = agent.events().unwrap();
    let found = events.iter().find(|line| is_it(line)).cloned();
    found.unwrap_or_else(|| panic!("nothing of {pid}: {events:#?}"))
}

#[test]
fn a_client_without_a_port_left_and_one_without_a_route_are_told_though_they_send_nothing() {
    root_or_skip!("a client without a port left, and one without a route");
    root::mount_tracing().unwrap();
    let network = Network::new().unwrap();
    let listen = format!("{SERVER_V4}:{PORT}");
    let _server = Peer::scenario(Some(&network.server), &["--listen", &listen]).unwrap();
    let port = PORT.to_string();
    let options = ["--port", &port, "--watch-process", "raw-client"];
    let mut agent = Agent::start(&network.client, &options).unwrap();
    let client = || network.client.command(program("raw-client").unwrap());

    let lost = Running::start(client().arg(NOWHERE)).unwrap();
    let attempt = untried(&mut agent, lost.pid());
    let cause = &attempt["attempt"]["diagnosis"][0];
    assert_eq!(cause["cause"], "connect_refused_here", "{attempt:#}");
    assert_eq!(cause["evidence"]["errno"], "ENETUNREACH", "{attempt:#}");
    let only = &attempt["attempt"]["parts"][0];
    assert_eq!(only["outcome"], "not_sent", "{attempt:#}");
    assert_eq!(only["name"], "203.0.113.9", "{attempt:#}");
    assert_eq!(attempt["client"]["address"], Value::Null, "{attempt:#}");
    lost.end(LIMIT).unwrap();

    let mut narrow = network.client.command("sh");
    let range = "echo 40000 40019 > /proc/sys/net/ipv4/ip_local_port_range";
    let (status, said) = run(narrow.args(["-c", range]), "", LIMIT).unwrap();
    assert!(status.success(), "{said}");
    let mut busy = client();
    // Each keeps its port for a minute after it has closed it.
    busy.arg(&listen).args(["--send", "prelogin", "--read"]);
    let busy = Running::start(busy.args(["--wait", "100", "--count", "30"])).unwrap();
    let attempt = untried(&mut agent, busy.pid());
    let cause = &attempt["attempt"]["diagnosis"][0];
    assert_eq!(cause["cause"], "ephemeral_ports", "{attempt:#}");
    assert_eq!(cause["evidence"]["ports"], 20, "{attempt:#}");
    assert!(cause["confidence"].as_f64() > Some(0.9), "{attempt:#}");
    assert_eq!(attempt["attempt"]["connections"], 0, "{attempt:#}");
    busy.end(LIMIT).unwrap();

    // Those that had a port were told by their packets, and no such cause.
    agent
        .wait(LIMIT, |events| of(events, "login").len() >= 20)
        .unwrap();
    for login in of(&agent.events().unwrap(), "login") {
        let causes = login["diagnosis"].as_array().into_iter().flatten();
        let mut names = causes.map(|cause| &cause["cause"]);
        assert!(!names.any(|name| name == "ephemeral_ports"), "{login:#}");
    }
}

#[test]
fn a_process_that_tries_nothing_is_told_once_and_one_that_logs_in_is_not() {
    root_or_skip!("a process that tries nothing");
    let network = Network::new().unwrap();
    let listen = format!("{SERVER_V4}:{PORT}");
    let _server = Peer::scenario(Some(&network.server), &["--listen", &listen]).unwrap();
    let waits = Running::start_held(&mut network.client.command("cat")).unwrap();
    let mut client = network.client.command(program("raw-client").unwrap());
    client.args([&listen, "--send", "prelogin", "--read"]);
    client.args(["--wait", "250", "--count", "1000"]);
    let works = Running::start(&mut client).unwrap();
    let pids = [waits.pid().to_string(), works.pid().to_string()];
    let port = PORT.to_string();
    let watch = ["--watch-process", &pids[0], "--watch-process", &pids[1]];
    let options = [&["--port", &port, "--pending", "2"][..], &watch].concat();
    let mut agent = Agent::start(&network.client, &options).unwrap();

    let attempt = untried(&mut agent, waits.pid());
    let cause = &attempt["attempt"]["diagnosis"][0];
    assert_eq!(cause["cause"], "no_attempt", "{attempt:#}");
    assert_eq!(cause["for"], "application", "{attempt:#}");
    assert!(
        cause["evidence"]["silent_ns"].as_u64() >= Some(2_000_000_000),
        "{attempt:#}"
    );
    assert_eq!(attempt["severity"], "error", "{attempt:#}");
    let only = &attempt["attempt"]["parts"][0];
    assert_eq!(only["kind"], "wait", "{attempt:#}");
    assert_eq!(only["outcome"], "nothing_tried", "{attempt:#}");

    // Meanwhile the other goes on, and so does time.
    let logins = of(&agent.events().unwrap(), "login").len();
    agent
        .wait(LIMIT, |events| of(events, "login").len() > logins + 12)
        .unwrap();
    let attempts = of(&agent.events().unwrap(), "attempt");
    let untried = |pid: u32| {
        let own = attempts.iter();
        own.filter(|line| line["process"]["pid"] == pid).count()
    };
    assert_eq!(untried(waits.pid()), 1, "{attempts:#?}");
    assert_eq!(untried(works.pid()), 0, "{attempts:#?}");
}
