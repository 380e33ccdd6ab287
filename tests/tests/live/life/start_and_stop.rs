//! How the agent ends, by itself and when told to, and what it leaves to others.

use harness::agent::{Agent, Record, of};
use harness::agree::ASK_ALL;
use harness::capture::{Capture, Captured};
use harness::net::{INTERFACE, Namespace, Network};
use harness::peer::{Peer, program};
use harness::process::{Running, run};
use harness::root_or_skip;
use harness::visitor::Visitor;
use serde_json::Value;

use super::{ADDRESS, LIMIT, agent, assert_nothing_of_ours, attached, has_action, output};
use crate::run::{PORT, agreeing, alone};

/// What an agent says that is stopped by a signal while a client waits.
fn stopped_by(signal: &str) -> (Record, Captured, ()) {
    let host = Namespace::new("l").unwrap();
    let _server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
    let mut running = Running::start(&mut agent(&host, &ASK_ALL)).unwrap();
    assert!(running.wait_lines(LIMIT, |lines| has_action(lines, "start")));
    let capture = Capture::start(&host, "lo", PORT).unwrap();
    let client = Visitor::answered(&host, ADDRESS, &[]).unwrap();
    let ended = running.stop(signal).unwrap();
    let captured = capture.stop().unwrap();
    drop(client);
    assert_nothing_of_ours(&host);

    assert_eq!(ended.status.code(), Some(0), "{signal}: {ended:#?}");
    let parse = |line: &String| serde_json::from_str::<Value>(line).unwrap();
    let record = Record {
        events: ended.lines.iter().map(parse).collect(),
        log: ended.errors,
        success: true,
    };
    (record, captured, ())
}

#[test]
fn a_signal_ends_it_and_open_connections_are_told() {
    root_or_skip!("a signal ends it and open connections are told");
    let _alone = alone();
    for (signal, reason) in [("INT", "interrupt"), ("TERM", "terminate")] {
        let (record, ()) = agreeing(&[], || stopped_by(signal));
        let events = record.events;
        let closes = of(&events, "close");
        assert_eq!(closes.len(), 1, "{events:#?}");
        let connection = &closes[0]["connection"];
        assert_eq!(connection["partial"], true, "{connection:#}");
        assert_eq!(
            connection["partial_reasons"][0], "agent_stop",
            "{connection:#}"
        );
        let last = &events[events.len() - 1]["agent"];
        assert_eq!(last["action"], "stop", "{events:#?}");
        assert_eq!(last["reason"], reason, "{events:#?}");
    }
}

#[test]
fn it_ends_by_itself_after_its_duration() {
    root_or_skip!("it ends by itself after its duration");
    let host = Namespace::new("l").unwrap();
    let mut command = agent(&host, &["--duration", "1s", "--log-level", "off"]);
    let (status, text) = run(&mut command, "", LIMIT).unwrap();
    assert_eq!(status.code(), Some(0), "{text}");
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["agent"]["action"], "stop", "{text}");
    assert_eq!(last["agent"]["reason"], "duration", "{text}");
    assert_nothing_of_ours(&host);
}

#[test]
fn a_strangers_filters_survive_it() {
    root_or_skip!("a stranger's filters survive it");
    let network = Network::new().unwrap();
    let host = &network.client;
    let tc = |line: &str| output(host.command("tc").args(line.split(' ')));
    // One qdisc that is used, and one that is not.
    tc("qdisc add dev lo clsact");
    tc("filter add dev lo ingress prio 7 protocol all u32 match u32 0 0");
    tc(&format!("qdisc add dev {INTERFACE} clsact"));
    let all = || {
        let filters = tc("filter show dev lo ingress");
        attached(host) + &filters
    };
    let before = all();
    assert!(before.contains("clsact"), "{before}");
    assert!(before.contains("u32"), "{before}");

    let record = Agent::start(host, &[]).unwrap().stop().unwrap();
    assert!(record.success, "{record:#?}");
    assert_eq!(all(), before);
}

#[test]
fn doctor_and_a_second_agent_leave_a_running_one_alone() {
    root_or_skip!("doctor and a second agent leave a running one alone");
    let host = Namespace::new("l").unwrap();
    let mut first = Agent::start(&host, &[]).unwrap();
    let mut doctor = host.command(program("tds-tracer").unwrap());
    let (status, text) = run(doctor.arg("doctor"), "", LIMIT).unwrap();
    assert_eq!(status.code(), Some(0), "{text}");
    let second = Agent::start(&host, &[]).unwrap().stop().unwrap();
    assert!(second.success, "{second:#?}");

    let mut client = host.command(program("raw-client").unwrap());
    let (status, _) = run(client.arg(ADDRESS), "", LIMIT).unwrap();
    assert!(!status.success());
    let closes = first.wait_for("close", 1, LIMIT).unwrap();
    assert_eq!(closes.len(), 1);
    assert!(first.stop().unwrap().success);
    assert_nothing_of_ours(&host);
}
