//! Interfaces beside sockets (`--transit`): what passes here, what never reaches a socket, and nothing twice.

use std::process::Command;
use std::time::Duration;

use harness::agent::{Agent, Record, of};
use harness::group::Group;
use harness::nat::{CONTAINERS, OUTSIDE, PUBLISHED, Rewriting, SERVICE};
use harness::net::{CLIENT_V4, Namespace, Network, SERVER_V4, SERVER_V6};
use harness::peer::{Peer, program};
use harness::process::{Running, run};
use harness::root_or_skip;
use serde_json::{Value, json};

use crate::here::Here;
use crate::run::{PORT, alone};

const LIMIT: Duration = Duration::from_mins(1);
const COUNT: usize = 10;
const PRELOGIN: [&str; 5] = ["--send", "prelogin", "--read", "--wait", "0"];

/// A client in a namespace and a control group of its own.
fn client(host: &Namespace, group: &Group, server: &str, arguments: &[&str]) -> Command {
    let line = format!("{} && exec \"$0\" \"$@\"", group.enter());
    let mut command = host.command("sh");
    command
        .args(["-c", &line])
        .arg(program("raw-client").unwrap())
        .arg(server)
        .args(arguments);
    command
}

/// An agent on a host, beside whose interfaces it sees the sockets of a control group.
fn agent(host: &Namespace, group: &str) -> Agent {
    let port = PORT.to_string();
    Agent::start(host, &["--transit", "--port", &port, "--cgroup", group]).unwrap()
}

/// Each event is there for each connection, and nothing was lost.
fn assert_each_once(record: &Record, count: usize) -> Vec<Value> {
    let lines = ["login", "close"].map(|event| of(&record.events, event));
    for lines in &lines {
        assert_eq!(lines.len(), count, "{record:#?}");
    }
    assert_eq!(of(&record.events, "loss"), Vec::<Value>::new());
    lines.concat()
}

fn addresses(line: &Value) -> [&str; 2] {
    ["client", "server"].map(|end| line[end]["address"].as_str().unwrap())
}

/// Connections from one host to another by way of a third, which may rewrite their addresses.
struct Way<'a> {
    client: &'a Namespace,
    server: &'a Namespace,
    /// The addresses that the client's socket has, and those that the server's has.
    at: [[&'a str; 2]; 2],
}

impl Way<'_> {
    /// Makes connections; the agent sees these ends' sockets.
    fn is_told_once(&self, watching: &Namespace, here: Option<Here>) {
        let (clients, nobodys) = (Group::new().unwrap(), Group::new().unwrap());
        let group = match here {
            Some(Here::Client) => clients.directory().display().to_string(),
            Some(Here::Server) => watching.group(),
            _ => nobodys.directory().display().to_string(),
        };
        let listen = format!("0.0.0.0:{PORT}");
        let _server = Peer::scenario(Some(self.server), &["--listen", &listen]).unwrap();
        let mut agent = agent(watching, &group);
        let [asked, answers] = self.at;
        let to = format!("{}:{PORT}", asked[1]);
        let count = COUNT.to_string();
        let arguments = [&PRELOGIN[..], &["--count", &count]].concat();
        let mut client = client(self.client, &clients, &to, &arguments);
        let (status, output) = run(&mut client, "", LIMIT).unwrap();
        assert!(status.success(), "{output}");
        agent.wait_for("close", COUNT, LIMIT).unwrap();
        let record = agent.stop().unwrap();
        // The last addresses are nearest to the server, and told where no socket says better.
        let (told, also) = if here == Some(Here::Client) {
            (asked, answers)
        } else {
            (answers, asked)
        };
        for line in assert_each_once(&record, COUNT) {
            assert_eq!(addresses(&line), told, "{here:?}: {line:#}");
            let nat: Vec<_> = line["nat"].as_array().into_iter().flatten().collect();
            assert_eq!(nat.len(), usize::from(also != told), "{here:?}: {line:#}");
            for other in nat {
                assert_eq!(addresses(other), also, "{here:?}: {line:#}");
            }
            let vantage = here.map_or("transit", Here::vantage);
            assert_eq!(line["connection"]["vantage"], vantage, "{line:#}");
            assert_eq!(line["connection"]["partial"], false, "{line:#}");
            let process = here.map_or(Value::Null, |here| json!(here.process()));
            assert_eq!(line["process"]["name"], process, "{line:#}");
        }
    }
}

#[test]
fn a_connection_is_told_once_at_a_host_that_has_one_end_of_it_or_none() {
    root_or_skip!("a connection is told once at a host that has one end of it or none");
    let _alone = alone();
    let hosts = Rewriting::new().unwrap();
    let [first, second] = &hosts.containers;
    let [to_first, to_second] = CONTAINERS;
    let (client, server) = (Some(Here::Client), Some(Here::Server));
    let ways = [
        // A port that is published.
        (
            [&hosts.outside, first],
            [[OUTSIDE, PUBLISHED], [OUTSIDE, to_first]],
            &[None, client, server][..],
        ),
        // A client that is masqueraded.
        (
            [first, &hosts.outside],
            [[to_first, OUTSIDE], [PUBLISHED, OUTSIDE]],
            &[None, client],
        ),
        // A service's address.
        (
            [first, second],
            [[to_first, SERVICE], [to_first, to_second]],
            &[None, server],
        ),
        // A gateway that rewrites nothing.
        ([first, second], [[to_first, to_second]; 2], &[None]),
    ];
    for ([client, server], at, here) in ways {
        let way = Way { client, server, at };
        for here in here {
            way.is_told_once(&hosts.host, *here);
        }
    }
}

#[test]
fn a_connection_over_a_bridge_is_told_once() {
    root_or_skip!("a connection over a bridge is told once");
    let [host, one, other] = ["h", "p", "q"].map(|role| Namespace::new(role).unwrap());
    host.ip(&["link", "add", "br0", "type", "bridge"]).unwrap();
    host.ip(&["link", "set", "br0", "up"]).unwrap();
    for (end, pod, address) in [("p0", &one, CLIENT_V4), ("q0", &other, SERVER_V4)] {
        join(&host, "br0", end, pod, address);
    }
    let way = Way {
        client: &one,
        server: &other,
        at: [[CLIENT_V4, SERVER_V4]; 2],
    };
    for here in [None, Some(Here::Server)] {
        way.is_told_once(&host, here);
    }
}

/// Puts a namespace behind a host's bridge.
fn join(host: &Namespace, bridge: &str, end: &str, pod: &Namespace, address: &str) {
    let peer = ["peer", "name", "eth0", "netns", pod.name()];
    host.ip(&[&["link", "add", end, "type", "veth"][..], &peer].concat())
        .unwrap();
    host.ip(&["link", "set", end, "master", bridge, "up"])
        .unwrap();
    let address = format!("{address}/24");
    pod.ip(&["addr", "add", &address, "dev", "eth0"]).unwrap();
    pod.ip(&["link", "set", "eth0", "up"]).unwrap();
}

#[test]
fn pods_that_live_for_a_moment_are_told_once_each() {
    root_or_skip!("pods that live for a moment are told once each");
    let _alone = alone();
    let host = Namespace::new("h").unwrap();
    host.ip(&["link", "add", "br0", "type", "bridge"]).unwrap();
    host.ip(&["addr", "add", "10.77.3.1/24", "dev", "br0"])
        .unwrap();
    host.ip(&["link", "set", "br0", "up"]).unwrap();
    let listen = format!("0.0.0.0:{PORT}");
    let _server = Peer::scenario(Some(&host), &["--listen", &listen]).unwrap();
    let mut agent = agent(&host, &host.group());
    for _ in 0..COUNT {
        let pod = Namespace::new("p").unwrap();
        join(&host, "br0", "pod0", &pod, "10.77.3.2");
        let mut client = pod.command(program("raw-client").unwrap());
        client.arg(format!("10.77.3.1:{PORT}")).args(PRELOGIN);
        let (status, output) = run(&mut client, "", LIMIT).unwrap();
        assert!(status.success(), "{output}");
        host.ip(&["link", "delete", "pod0"]).unwrap();
    }
    agent.wait_for("close", COUNT, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    for line in assert_each_once(&record, COUNT) {
        assert_eq!(line["connection"]["vantage"], "both", "{line:#}");
        assert_eq!(line["process"]["name"], "raw-client", "{line:#}");
    }
}

#[test]
fn a_syn_to_a_closed_port_is_told_where_the_server_would_be() {
    root_or_skip!("a SYN to a closed port is told where the server would be");
    let network = Network::new().unwrap();
    let clients = Group::new().unwrap();
    let seen = network.server.group();
    let mut agent = agent(&network.server, &seen);
    for address in [SERVER_V4.to_owned(), format!("[{SERVER_V6}]")] {
        let to = format!("{address}:{PORT}");
        let mut client = client(&network.client, &clients, &to, &[]);
        let (status, output) = run(&mut client, "", LIMIT).unwrap();
        assert!(!status.success(), "{output}");
    }
    agent.wait_for("close", 2, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    for line in assert_each_once(&record, 2) {
        assert_eq!(line["login"]["outcome"], "refused", "{line:#}");
        assert_eq!(line["process"], Value::Null, "{line:#}");
    }
}

/// Has a firewall drop what comes in for the server.
fn firewall(host: &Namespace, rules: &str) {
    let (status, output) = run(host.command("nft").args(["-f", "-"]), rules, LIMIT).unwrap();
    assert!(status.success(), "{output}");
}

const DROPS: &str = "table ip drops {
    chain in {
        type filter hook input priority 0;
        tcp dport 1433 drop
    }
}";

#[test]
fn a_syn_that_a_firewall_drops_is_told_where_it_does() {
    root_or_skip!("a SYN that a firewall drops is told where it does");
    let network = Network::new().unwrap();
    let clients = Group::new().unwrap();
    let listen = format!("{SERVER_V4}:{PORT}");
    let _server = Peer::scenario(Some(&network.server), &["--listen", &listen]).unwrap();
    firewall(&network.server, DROPS);
    let seen = network.server.group();
    let mut agent = agent(&network.server, &seen);
    let mut client = client(&network.client, &clients, &listen, &[]);
    let client = Running::start(&mut client).unwrap();
    // Its process would try for two minutes.
    let told = agent.wait_for("login", 1, LIMIT).unwrap();
    assert_eq!(told.len(), 1);
    client.stop("KILL").unwrap();
    let record = agent.stop().unwrap();
    for line in assert_each_once(&record, 1) {
        assert_eq!(line["login"]["outcome"], "unreachable", "{line:#}");
        assert_eq!(line["process"], Value::Null, "{line:#}");
    }
}

#[test]
fn a_connection_whose_first_syn_a_firewall_drops_is_its_sockets() {
    root_or_skip!("a connection whose first SYN a firewall drops is its socket's");
    let network = Network::new().unwrap();
    let clients = Group::new().unwrap();
    let listen = format!("{SERVER_V4}:{PORT}");
    let _server = Peer::scenario(Some(&network.server), &["--listen", &listen]).unwrap();
    // One packet passes nothing, the next ones do.
    let rules = DROPS.replace(
        "tcp dport 1433 drop",
        "tcp dport 1433 numgen inc mod 64 0 drop",
    );
    firewall(&network.server, &rules);
    let seen = network.server.group();
    let mut agent = agent(&network.server, &seen);
    let mut client = client(&network.client, &clients, &listen, &PRELOGIN);
    let (status, output) = run(&mut client, "", LIMIT).unwrap();
    assert!(status.success(), "{output}");
    agent.wait_for("close", 1, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    for line in assert_each_once(&record, 1) {
        assert_eq!(line["login"]["outcome"], "aborted", "{line:#}");
        assert_eq!(line["connection"]["vantage"], "server", "{line:#}");
        assert_eq!(line["process"]["name"], "scenario-server", "{line:#}");
    }
}
