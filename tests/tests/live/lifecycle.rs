//! How the agent starts, stops and refuses, and that it leaves a host as it was.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::agent::{Agent, Record, of};
use harness::agree::ASK_ALL;
use harness::capture::{Capture, Captured};
use harness::net::{INTERFACE, Namespace, Network, SERVER_V4};
use harness::peer::{Peer, program};
use harness::process::{Running, run};
use harness::root_or_skip;
use harness::visitor::Visitor;
use serde_json::Value;

use crate::run::{PORT, agreeing, alone};

const ADDRESS: &str = "127.0.0.1:1433";
const LIMIT: Duration = Duration::from_secs(20);

fn agent(host: &Namespace, arguments: &[&str]) -> Command {
    let mut command = host.command(program("tds-tracer").unwrap());
    command.arg("run").args(arguments);
    command
}

fn has_action(lines: &[String], action: &str) -> bool {
    lines.iter().any(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["agent"]["action"] == action
    })
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The classifiers and qdiscs of a host.
fn attached(host: &Namespace) -> String {
    let net = output(host.command("bpftool").arg("net"));
    net + &output(host.command("tc").args(["qdisc", "show"]))
}

fn assert_nothing_of_ours(host: &Namespace) {
    let attached = attached(host);
    assert!(!attached.contains("tds_"), "{attached}");
    assert!(!attached.contains("clsact"), "{attached}");
}

/// Waits for the end of a program that was told to end.
fn ended(mut child: Child) -> Option<i32> {
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    panic!("still running after {LIMIT:?}");
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < end, "{what} not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

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
fn a_reader_that_leaves_ends_it() {
    root_or_skip!("a reader that leaves ends it");
    let host = Namespace::new("l").unwrap();
    let mut child = agent(&host, &[])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"start\"") {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "it did not start");
    }
    drop(reader);
    assert_eq!(ended(child), Some(0));
    assert_nothing_of_ours(&host);
}

#[test]
fn a_moved_output_is_opened_anew_when_asked() {
    root_or_skip!("a moved output is opened anew when asked");
    let host = Namespace::new("l").unwrap();
    let directory = Directory::new("hup");
    let (path, moved) = (directory.0.join("events"), directory.0.join("events.1"));
    let arguments = ["--output", path.to_str().unwrap()];
    let running = Running::start(&mut agent(&host, &arguments)).unwrap();
    let holds =
        |path: &PathBuf, word: &str| fs::read_to_string(path).is_ok_and(|text| text.contains(word));
    wait_until("the start", || holds(&path, "\"start\""));
    fs::rename(&path, &moved).unwrap();
    running.signal("HUP").unwrap();
    wait_until("a new file", || path.exists());
    let ended = running.stop("TERM").unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(holds(&path, "\"stop\""), "the new file lacks the stop");
    assert!(!holds(&moved, "\"stop\""), "the moved file has the stop");
}

#[test]
fn what_cannot_be_is_refused_in_one_line() {
    root_or_skip!("what cannot be is refused in one line");
    let host = Namespace::new("l").unwrap();
    let unprivileged = || {
        let mut command = host.command("setpriv");
        command
            .args(["--bounding-set=-all", "--inh-caps=-all"])
            .arg(program("tds-tracer").unwrap())
            .arg("run");
        command
    };
    let mut in_user_namespace = host.command("unshare");
    in_user_namespace
        .args(["--user", "--map-root-user", "--net"])
        .arg(program("tds-tracer").unwrap())
        .arg("run");
    for (mut command, mend) in [
        (agent(&host, &["--iface", "nosuch0"]), "`ip link` lists"),
        // Of two the one that is there is not attached to either.
        (
            agent(&host, &["--iface", "lo", "--iface", "nosuch0"]),
            "nosuch0",
        ),
        (agent(&host, &["--output", "/no/such/x"]), "output"),
        (unprivileged(), "grant CAP_BPF"),
        (in_user_namespace, "outside of a user namespace"),
    ] {
        let (status, text) = run(&mut command, "", LIMIT).unwrap();
        assert_eq!(status.code(), Some(2), "{command:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{command:?}: {text}");
        assert!(text.contains(mend), "{command:?}: {text}");
        assert_nothing_of_ours(&host);
    }
}

#[test]
fn a_capability_that_is_missing_is_named() {
    root_or_skip!("a capability that is missing is named");
    let host = Namespace::new("l").unwrap();
    for missing in ["bpf", "net_admin", "perfmon"] {
        let granted = "-all,+bpf,+net_admin,+perfmon".replace(&format!(",+{missing}"), "");
        let named = format!("without CAP_{}", missing.to_uppercase());
        for role in ["run", "doctor"] {
            let mut command = host.command("setpriv");
            command
                .arg(format!("--bounding-set={granted}"))
                .arg("--inh-caps=-all")
                .args([program("tds-tracer").unwrap().as_os_str(), role.as_ref()]);
            let (status, text) = run(&mut command, "", LIMIT).unwrap();
            assert_eq!(status.code(), Some(2), "{command:?}: {text}");
            assert!(text.contains(&named), "{command:?}: {text}");
            let lines = text.lines().count();
            assert!(role == "doctor" || lines == 1, "{command:?}: {text}");
        }
        assert_nothing_of_ours(&host);
    }
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

/// A directory of this test's own, gone with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tdst-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
