//! Interfaces that come, go and change their names.

use harness::agent::{Agent, of};
use harness::net::{INTERFACE, Namespace, Network, SERVER_V4};
use harness::peer::program;
use harness::process::{Running, run};
use harness::root_or_skip;
use serde_json::Value;

use super::{LIMIT, agent, assert_nothing_of_ours, has_action, wait_until};

#[test]
fn an_excluded_interface_is_left_out() {
    root_or_skip!("an excluded interface is left out");
    let network = Network::new().unwrap();
    let agent = Agent::start(&network.client, &["--exclude-iface", "l?"]).unwrap();
    let record = agent.stop().unwrap();
    let added: Vec<_> = of(&record.events, "agent")
        .into_iter()
        .filter(|event| event["agent"]["action"] == "interface_added")
        .map(|event| event["agent"]["interface"].clone())
        .collect();
    assert_eq!(added, [INTERFACE], "{record:#?}");
}

#[test]
fn a_named_interface_that_is_down_is_waited_for() {
    root_or_skip!("a named interface that is down is waited for");
    let host = Namespace::new("l").unwrap();
    host.ip(&[
        "link", "add", "late0", "type", "veth", "peer", "name", "late1",
    ])
    .unwrap();
    let mut running = Running::start(&mut agent(&host, &["--iface", "late0"])).unwrap();
    let started = running.wait_lines(LIMIT, |lines| has_action(lines, "start"));
    assert!(started, "{}", running.errors());
    assert!(!has_action(running.lines(), "interface_added"));
    host.ip(&["link", "set", "late0", "up"]).unwrap();
    let added = running.wait_lines(LIMIT, |lines| has_action(lines, "interface_added"));
    assert!(added, "{:?}", running.lines());
    assert_eq!(running.stop("TERM").unwrap().status.code(), Some(0));
}

/// A refused connection over the cable, and the interface it is told with.
fn interface_told(network: &Network, agent: &mut Agent, closes: usize) -> Value {
    let mut client = network.client.command(program("raw-client").unwrap());
    let (status, _) = run(client.arg(format!("{SERVER_V4}:1433")), "", LIMIT).unwrap();
    assert!(!status.success());
    let told = agent.wait_for("close", closes, LIMIT).unwrap();
    assert_eq!(told.len(), closes, "{told:#?}");
    told[closes - 1]["connection"]["interface"].clone()
}

fn rename(network: &Network, from: &str, to: &str) {
    // Not every kernel renames what is up.
    for line in [
        ["link", "set", from, "down"].as_slice(),
        &["link", "set", from, "name", to],
        &["link", "set", to, "up"],
    ] {
        network.client.ip(line).unwrap();
    }
}

#[test]
fn an_interface_with_another_name_is_watched_and_told_by_it() {
    root_or_skip!("an interface with another name is watched and told by it");
    let network = Network::new().unwrap();
    let mut agent = Agent::start(&network.client, &["--exclude-iface", "lo"]).unwrap();
    assert_eq!(interface_told(&network, &mut agent, 1), INTERFACE);
    rename(&network, INTERFACE, "wan0");
    agent.wait_for("agent", 4, LIMIT).unwrap();
    assert_eq!(interface_told(&network, &mut agent, 2), "wan0");
    let record = agent.stop().unwrap();
    let actions: Vec<_> = of(&record.events, "agent")
        .into_iter()
        .map(|event| event["agent"].clone())
        .filter(|agent| agent["interface"].is_string())
        .map(|agent| [agent["action"].clone(), agent["interface"].clone()])
        .collect();
    let expected = [
        ["interface_added", INTERFACE],
        ["interface_removed", INTERFACE],
        ["interface_added", "wan0"],
    ];
    assert_eq!(actions, expected, "{record:#?}");
    assert!(record.success, "{record:#?}");
}

#[test]
fn an_interface_whose_new_name_is_not_wanted_is_watched_no_more() {
    root_or_skip!("an interface whose new name is not wanted is watched no more");
    let network = Network::new().unwrap();
    let mut agent = Agent::start(&network.client, &["--iface", INTERFACE]).unwrap();
    rename(&network, INTERFACE, "wan0");
    let count = |agent: &mut Agent, action: &str| {
        let events = agent.events().unwrap();
        let does = |event: &&Value| event["agent"]["action"] == action;
        events.iter().filter(does).count()
    };
    wait_until("the removal", || {
        count(&mut agent, "interface_removed") == 1
    });
    assert_nothing_of_ours(&network.client);
    rename(&network, "wan0", INTERFACE);
    wait_until("the return", || count(&mut agent, "interface_added") == 2);
    assert_eq!(interface_told(&network, &mut agent, 1), INTERFACE);
    assert!(agent.stop().unwrap().success);
}
