//! What the host adds to why a login took long: its client could not run, its server's socket had no
//! room. Whoever logs in beside it at the same time, and fares well, is told nothing.

use std::fs;
use std::process::Command;
use std::time::Duration;

use harness::agent::{Agent, of};
use harness::drivers::{Driver, Encrypt, Login};
use harness::group::Group;
use harness::limit::Limit;
use harness::net::{Namespace, Network, SERVER_V4};
use harness::peer::Peer;
use harness::process::{Running, run, until};
use harness::{driver_or_skip, root_or_skip};
use serde_json::Value;

use crate::run::PORT;

const LIMIT: Duration = Duration::from_mins(1);
/// How long the server thinks about PRELOGIN while something is done to the client, milliseconds.
const THINKS: &str = "prelogin=1000";

/// A server that is slow with its first client only, and an agent that tells after three seconds what is
/// not decided.
struct Site {
    network: Network,
    server: Peer,
    agent: Agent,
}

impl Site {
    fn new(options: &[&str]) -> Self {
        let network = Network::new().unwrap();
        let listen = format!("{SERVER_V4}:{PORT}");
        let own = ["--listen", &listen, "--say-steps", "--faulty", "1"];
        let server = Peer::scenario(
            Some(&network.server),
            &[&own[..], &["--delay-at", THINKS]].concat(),
        );
        let port = PORT.to_string();
        let arguments = [&["--port", &port, "--pending", "3"][..], options].concat();
        let agent = Agent::start(&network.client, &arguments).unwrap();
        Self {
            server: server.unwrap(),
            network,
            agent,
        }
    }

    /// Starts a login, and waits until the server thinks about it.
    fn caught(&mut self, start: impl Fn(&Namespace) -> Command) -> Running {
        let mut login = Login::to(SERVER_V4, PORT, Encrypt::On);
        login.timeout = 60;
        let ready = Driver::PythonTds.ready(&login, |program| {
            let mut command = start(&self.network.client);
            command.arg(program);
            command
        });
        let client = Running::start(&mut ready.unwrap().command).unwrap();
        let said = |lines: &[String]| lines.iter().any(|line| line.ends_with("at prelogin"));
        assert!(self.server.wait(LIMIT, said), "{:?}", self.server.lines());
        client
    }

    /// The line that says of a process's login that it is not decided, with its causes.
    fn pending(&mut self, pid: u32) -> Value {
        let is_it = |line: &Value| line["event"] == "pending" && line["process"]["pid"] == pid;
        self.agent
            .wait(LIMIT, |events| events.iter().any(is_it))
            .unwrap();
        let events = self.agent.events().unwrap();
        let line = events.iter().find(|line| is_it(line));
        line.unwrap_or_else(|| panic!("nothing of {pid}: {events:#?}"))
            .clone()
    }

    /// Why the client could not go on, as is told of its attempt once that is over, and for how long.
    fn waits(&mut self, pending: &Value) -> Vec<(String, u64)> {
        let connection = &pending["connection"]["id"];
        let has_it = |line: &Value| {
            let parts = line["attempt"]["parts"].as_array();
            let mut parts = parts.into_iter().flatten();
            line["event"] == "attempt" && parts.any(|part| part["connection_id"] == *connection)
        };
        self.agent
            .wait(LIMIT, |events| events.iter().any(has_it))
            .unwrap();
        let events = self.agent.events().unwrap();
        let attempt = &events.iter().find(|line| has_it(line)).unwrap()["attempt"];
        // They lie inside the login, which accounts for all of it.
        assert_eq!(attempt["unexplained_ns"], 0, "{attempt:#}");
        let parts = attempt["parts"].as_array().unwrap().iter();
        let waits = parts.filter(|part| part["kind"] == "wait");
        waits
            .map(|part| {
                let why = part["outcome"].as_str().unwrap().to_owned();
                (why, part["duration_ns"].as_u64().unwrap())
            })
            .collect()
    }

    /// Whoever logs in now is told no cause.
    fn others_fare_well(&mut self) {
        let login = Login::to(SERVER_V4, PORT, Encrypt::On);
        let fared = Driver::Tsql
            .run(Some(&self.network.client), &login)
            .unwrap();
        assert!(fared.ok, "{}", fared.output);
        let is_it = |line: &Value| line["event"] == "login" && line["process"]["name"] == "tsql";
        self.agent
            .wait(LIMIT, |events| events.iter().any(is_it))
            .unwrap();
        let events = self.agent.events().unwrap();
        let healthy = events.iter().find(|line| is_it(line)).unwrap();
        let causes: Vec<_> = causes(healthy).into_iter().map(|(name, _)| name).collect();
        let is_hosts = |name: &String| HOSTS.contains(&name.as_str());
        assert!(!causes.iter().any(is_hosts), "{healthy:#}");
    }
}

/// Causes that the host knows of.
const HOSTS: [&str; 4] = [
    "client_starved",
    "listen_backlog",
    "syn_dropped_here",
    "conntrack_full",
];

fn causes(line: &Value) -> Vec<(String, Value)> {
    let causes = line["diagnosis"].as_array().into_iter().flatten();
    let told = causes.map(|cause| {
        let name = cause["cause"].as_str().unwrap_or_default();
        (name.to_owned(), cause.clone())
    });
    told.collect()
}

fn first(line: &Value, cause: &str) -> Value {
    let causes = causes(line);
    let (name, first) = causes
        .first()
        .unwrap_or_else(|| panic!("no cause: {line:#}"));
    assert_eq!(name, cause, "{line:#}");
    first.clone()
}

#[test]
fn a_client_whose_processor_time_is_limited_is_starved() {
    root_or_skip!("a client whose processor time is limited is starved");
    driver_or_skip!(Driver::PythonTds);
    let limit = Limit::new().unwrap();
    // In version 2 it is not in the test's own group then.
    let root = Group::new().unwrap().root().display().to_string();
    let mut site = Site::new(&["--cgroup", &root]);
    let inside = |host: &Namespace| {
        let mut command = host.command("sh");
        command.args(["-c", &format!("{}; exec \"$@\"", limit.enter()), "sh"]);
        command
    };
    let client = site.caught(inside);
    limit.tighten().unwrap();
    // What there is of it another process of the same container takes.
    let mut busy = inside(&site.network.client);
    let busy = Running::start(busy.args(["sh", "-c", "while :; do :; done"])).unwrap();
    let pending = site.pending(client.pid());
    let cause = first(&pending, "client_starved");
    assert_eq!(cause["for"], "host", "{pending:#}");
    assert!(
        cause["evidence"]["throttled_periods"].as_u64() >= Some(1),
        "{pending:#}"
    );
    site.others_fare_well();
    limit.loosen().unwrap();
    drop(busy);
    client.end(LIMIT).unwrap();
    let waits = site.waits(&pending);
    assert!(waits.iter().any(|(why, _)| why == "throttled"), "{waits:?}");
}

#[test]
fn a_stopped_client_leaves_unread_what_has_come() {
    root_or_skip!("a stopped client leaves unread what has come");
    driver_or_skip!(Driver::PythonTds);
    let mut site = Site::new(&[]);
    let client = site.caught(|host| host.command("env"));
    client.signal("STOP").unwrap();
    let pending = site.pending(client.pid());
    let cause = first(&pending, "client_starved");
    assert_eq!(cause["for"], "application", "{pending:#}");
    assert_eq!(cause["evidence"]["process_state"], "stopped", "{pending:#}");
    assert!(
        cause["evidence"]["unread_bytes"].as_u64() > Some(0),
        "{pending:#}"
    );
    site.others_fare_well();
    client.signal("CONT").unwrap();
    client.end(LIMIT).unwrap();
    let waits = site.waits(&pending);
    for why in ["stopped", "unread"] {
        assert!(waits.iter().any(|(other, _)| other == why), "{waits:?}");
    }
}

#[test]
fn a_full_listen_queue_is_told_by_the_socket_itself() {
    root_or_skip!("a full listen queue is told by the socket itself");
    driver_or_skip!(Driver::Tsql);
    let network = Network::new().unwrap();
    let mut somaxconn = network.server.command("sh");
    somaxconn.args(["-c", "echo 1 > /proc/sys/net/core/somaxconn"]);
    assert!(somaxconn.status().unwrap().success());
    let listen = format!("{SERVER_V4}:{PORT}");
    let server = Peer::scenario(Some(&network.server), &["--listen", &listen]).unwrap();
    let port = PORT.to_string();
    let mut agent = Agent::start(&network.client, &["--port", &port]).unwrap();
    let healthy = || {
        let login = Login::to(SERVER_V4, PORT, Encrypt::Off);
        Driver::Tsql.run(Some(&network.client), &login).unwrap()
    };
    assert!(healthy().ok);

    signal(server.pid(), "STOP");
    let mut login = Login::to(SERVER_V4, PORT, Encrypt::Off);
    login.timeout = 60;
    let mut ready: Vec<_> = (0..6)
        .map(|_| {
            let start = |program: &std::path::Path| network.client.command(program);
            Driver::Tsql.ready(&login, start).unwrap()
        })
        .collect();
    let clients: Vec<_> = ready
        .iter_mut()
        .map(|ready| Running::start_with(&mut ready.command, &ready.input).unwrap())
        .collect();
    // Each of four SYNs, and again after one and three seconds.
    until(LIMIT, || dropped(server.pid()) >= 12).unwrap();
    signal(server.pid(), "CONT");
    let pids: Vec<Value> = clients.iter().map(|client| client.pid().into()).collect();
    for client in clients {
        client.end(LIMIT).unwrap();
    }
    // Other tests' are seen, too.
    let own = |events: &[Value]| {
        let mut own = of(events, "login");
        own.retain(|login| pids.contains(&login["process"]["pid"]));
        own
    };
    agent.wait(LIMIT, |events| own(events).len() >= 6).unwrap();
    let logins = own(&agent.events().unwrap());
    let is_late = |login: &&Value| login["tcp"]["syn_retransmits"].as_u64() > Some(0);
    let late: Vec<_> = logins.iter().filter(is_late).collect();
    assert!(late.len() >= 3, "{logins:#?}");
    for login in late {
        let cause = first(login, "listen_backlog");
        let evidence = &cause["evidence"];
        assert_eq!(evidence["accept_queue_room"], 1, "{login:#}");
        assert_eq!(evidence["accept_queue"], 2, "{login:#}");
    }
    // The two that found a place waited in it.
    let waited = logins.iter().filter(|login| {
        let causes = causes(login);
        let first = causes.first().map(|(name, _)| name.as_str());
        first == Some("server_slow_accept")
    });
    assert_eq!(waited.count(), 2, "{logins:#?}");
}

#[test]
fn what_this_hosts_own_firewall_drops_is_told_with_the_kernels_reason() {
    root_or_skip!("what this host's own firewall drops is told with the kernel's reason");
    driver_or_skip!(Driver::Tsql);
    let network = Network::new().unwrap();
    let listen = format!("{SERVER_V4}:{PORT}");
    let _server = Peer::scenario(Some(&network.server), &["--listen", &listen]).unwrap();
    let rules = format!(
        "table ip own {{\nchain input {{\ntype filter hook input priority filter;\n\
         ip saddr {SERVER_V4} drop\n}}\n}}\n"
    );
    let mut nft = network.client.command("nft");
    let (status, said) = run(nft.args(["-f", "-"]), &rules, LIMIT).unwrap();
    assert!(status.success(), "{said}");
    let port = PORT.to_string();
    let mut agent = Agent::start(&network.client, &["--port", &port]).unwrap();
    let mut login = Login::to(SERVER_V4, PORT, Encrypt::Off);
    login.timeout = 3;
    let fared = Driver::Tsql.run(Some(&network.client), &login).unwrap();
    assert!(!fared.ok, "{}", fared.output);
    agent.wait_for("login", 1, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    let said = of(&record.events, "agent");
    let mut starts = said
        .iter()
        .filter(|line| line["agent"]["action"] == "start");
    let hooks = starts.next().unwrap()["agent"]["hooks"].as_array().unwrap();
    let login = &of(&record.events, "login")[0];
    if hooks.iter().any(|hook| hook == "kfree_skb") {
        let cause = first(login, "syn_dropped_here");
        assert_eq!(cause["for"], "host", "{login:#}");
        let evidence = &cause["evidence"];
        assert_eq!(evidence["drop_reason"], "NETFILTER_DROP", "{login:#}");
        assert_eq!(evidence["dropped_of"], "server", "{login:#}");
        assert!(evidence["dropped_packets"].as_u64() >= Some(1), "{login:#}");
    } else {
        first(login, "syn_unanswered");
    }
}

fn signal(pid: u32, name: &str) {
    let mut kill = Command::new("kill");
    kill.args(["-s", name, &pid.to_string()]);
    assert!(kill.status().unwrap().success());
}

/// SYNs for which a socket in the network namespace of a process had no room.
fn dropped(pid: u32) -> u64 {
    let netstat = fs::read_to_string(format!("/proc/{pid}/net/netstat")).unwrap();
    let mut lines = netstat.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut all = names.split_whitespace().zip(values.split_whitespace());
    let (_, value) = all.find(|(name, _)| *name == "ListenOverflows").unwrap();
    value.parse().unwrap()
}
