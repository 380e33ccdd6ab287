//! Which names a client asks for before it connects is told, and what became of each question; of any other
//! name nothing is.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use harness::agent::{Agent, of};
use harness::attempts::times_apart;
use harness::capture::Capture;
use harness::drivers::Driver;
use harness::net::{self, Network, SERVER_V4};
use harness::peer::Peer;
use harness::process::{Running, run};
use harness::replay;
use harness::{driver_or_skip, root_or_skip};
use serde_json::{Value, json};

use crate::run::{PORT, alone};

const LIMIT: Duration = Duration::from_mins(1);
/// Where a resolver of the client's own host listens, as systemd's does.
const STUB: &str = "127.0.0.53";
/// Resolves a name, and another one that leads to no connection; then connects and logs in as far as an answer.
const CLIENT: &str = "import socket, sys\n\
     name, other, ports = sys.argv[1], sys.argv[2], sys.argv[3:]\n\
     try: socket.getaddrinfo(other, 80, 0, socket.SOCK_STREAM)\n\
     except OSError: pass\n\
     try:\n\
     \x20 if name.startswith('ptr:'): name = name[4:]; socket.gethostbyaddr(socket.gethostbyname(name))\n\
     except OSError: pass\n\
     for port in ports: socket.create_connection((name, int(port)), 20).close()\n";

/// Two hosts, on the client's a name server, on the other one who is looked for.
pub(crate) struct Place {
    pub(crate) network: Network,
    /// What the client's processes see as `/etc/resolv.conf`.
    resolver: PathBuf,
    _peers: [Peer; 2],
}

impl Place {
    pub(crate) fn new(resolver: &str, arguments: &[&str]) -> Self {
        Self::asking(SERVER_V4, resolver, arguments)
    }

    /// The client's processes ask that name server.
    fn asking(asked: &str, resolver: &str, arguments: &[&str]) -> Self {
        let network = Network::new().unwrap();
        let file = std::env::temp_dir().join(format!("{}.resolv.conf", network.client.name()));
        std::fs::write(&file, format!("nameserver {asked}\n{resolver}\n")).unwrap();
        let listen = format!("{SERVER_V4}:53");
        let known = format!("sql.good.test={SERVER_V4}");
        let all = ["dns", "--listen", &listen, "--host", &known];
        let dns = Peer::names(&network.server, &[&all, arguments].concat()).unwrap();
        let listen = format!("{SERVER_V4}:{PORT}");
        let server = Peer::scenario(Some(&network.server), &["--listen", &listen]).unwrap();
        Self {
            network,
            resolver: file,
            _peers: [dns, server],
        }
    }

    /// A command on the client's host that resolves names there.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.network.client.command("unshare");
        let file = self.resolver.display();
        let bind = format!("mount --bind {file} /etc/resolv.conf && exec \"$@\"");
        command.args(["--mount", "sh", "-c", &bind, "sh"]);
        command
    }

    fn connects(&self, name: &str) -> Command {
        let mut command = self.command();
        command.args([
            "python3",
            "-c",
            CLIENT,
            name,
            "elsewhere.test",
            &PORT.to_string(),
        ]);
        command
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // In a temporary directory, where a file left behind does no harm.
        std::fs::remove_file(&self.resolver).ok();
    }
}

/// What an agent with these options says of the one attempt that the client makes.
fn attempt(place: &Place, options: &[&str], client: &mut Command) -> Value {
    let mut agent = Agent::start(&place.network.client, options).unwrap();
    run(client, "exit\n", LIMIT).unwrap();
    agent.wait_for("attempt", 1, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    let said = format!("{:?} {}", record.events, record.log);
    assert!(!said.contains("elsewhere"), "{said}");
    let attempts = of(&record.events, "attempt");
    assert_eq!(attempts.len(), 1, "{:#?}", record.events);
    attempts[0]["attempt"].clone()
}

/// Its parts: what was done, of what name and type, and with what outcome.
fn steps(attempt: &Value) -> Vec<Value> {
    let parts = attempt["parts"].as_array().unwrap().iter();
    let step = |part: &Value| {
        json!([
            part["kind"],
            part["name"],
            part["record_type"],
            part["outcome"]
        ])
    };
    parts.map(step).collect()
}

/// A question of both types for a name.
fn both(name: &str, outcomes: [&str; 2]) -> [Value; 2] {
    [
        json!(["dns", name, "a", outcomes[0]]),
        json!(["dns", name, "aaaa", outcomes[1]]),
    ]
}

const FOUND: [&str; 2] = ["answered", "no_data"];
const NONE: [&str; 2] = ["no_such_name"; 2];

#[test]
fn the_name_of_the_server_is_told_and_no_other() {
    root_or_skip!("the name of the server is told and no other");
    let _alone = alone();
    let place = Place::new("", &[]);
    let client = &place.network.client;
    let mut apart = Vec::new();
    // The processor may have been taken away between two stamps, but not every time.
    for _ in 0..3 {
        let capture = Capture::start_whole(client, net::INTERFACE, PORT).unwrap();
        let live = attempt(&place, &[], &mut place.connects("sql.good.test"));
        let captured = capture.stop().unwrap();
        assert_eq!(steps(&live)[..2], both("sql.good.test", FOUND));
        assert_eq!(live["target"]["name"], "sql.good.test");
        assert_eq!(live["connections"], 1);
        let replayed = replay::events(captured.file()).unwrap();
        assert!(!format!("{replayed:?}").contains("elsewhere"));
        let again = &of(&replayed, "attempt")[0];
        assert_eq!(steps(&again["attempt"]), steps(&live));
        assert_eq!(again["attempt"]["target"], live["target"]);
        apart = times_apart(&json!({ "attempt": live }), again);
        if apart.is_empty() {
            break;
        }
    }
    assert_eq!(apart, Vec::<String>::new());
}

#[test]
fn an_answer_too_long_for_a_datagram_is_one_question_that_went_on_by_tcp() {
    root_or_skip!("an answer too long for a datagram is one question that went on by TCP");
    let _alone = alone();
    let place = Place::new("", &["--cuts"]);
    let client = &place.network.client;
    let capture = Capture::start_whole(client, net::INTERFACE, PORT).unwrap();
    let live = attempt(&place, &[], &mut place.connects("sql.good.test"));
    let captured = capture.stop().unwrap();
    let replayed = of(&replay::events(captured.file()).unwrap(), "attempt");
    for attempt in [&live, &replayed[0]["attempt"]] {
        assert_eq!(
            steps(attempt)[..2],
            both("sql.good.test", FOUND),
            "{attempt:#}"
        );
        for place in [0, 1] {
            let part = &attempt["parts"][place];
            assert_eq!(
                (&part["requests"], &part["tcp"]),
                (&json!(1), &json!(true)),
                "{attempt:#}"
            );
        }
    }
}

#[test]
fn each_name_of_a_search_list_that_was_tried_in_vain_is_told() {
    root_or_skip!("each name of a search list that was tried in vain is told");
    let _alone = alone();
    let place = Place::new("search bad.test worse.test good.test", &[]);
    let live = attempt(&place, &[], &mut place.connects("sql"));
    let tried = ["sql.bad.test", "sql.worse.test"].map(|name| both(name, NONE));
    let expected = [tried.concat(), both("sql.good.test", FOUND).to_vec()].concat();
    assert_eq!(steps(&live)[..6], expected, "{live:#}");
}

#[test]
fn an_answer_that_is_lost_of_two_is_told_by_how_often_and_how_long_it_was_asked_for() {
    root_or_skip!(
        "an answer that is lost of two is told by how often and how long it was asked for"
    );
    let _alone = alone();
    let place = Place::new("options timeout:1", &["--drops", "AAAA"]);
    let live = attempt(&place, &[], &mut place.connects("sql.good.test"));
    assert_eq!(steps(&live)[..2], both("sql.good.test", FOUND), "{live:#}");
    let [found, lost] = [0, 1].map(|place| &live["parts"][place]);
    assert_eq!(lost["requests"], 2, "{live:#}");
    // By the resolver's own clock.
    assert!(lost["duration_ns"].as_u64().unwrap() > 900_000_000);
    assert!(found["duration_ns"].as_u64() < lost["duration_ns"].as_u64());
}

#[test]
fn a_resolver_on_the_same_host_is_waited_for_by_the_process_and_its_own_questions_are_not_told() {
    root_or_skip!(
        "a resolver on the same host is waited for by the process and its own questions are not told"
    );
    let _alone = alone();
    let place = Place::asking(STUB, "", &["--delay", "200"]);
    let mut stub = place.network.client.command("dnsmasq");
    let (listen, upstream) = (
        format!("--listen-address={STUB}"),
        format!("--server={SERVER_V4}"),
    );
    stub.args(["--no-daemon", "--conf-file=/dev/null", "--user=root"])
        .args(["--no-resolv", "--no-hosts", "--cache-size=0", "--pid-file="])
        .args(["--bind-interfaces", &listen, &upstream]);
    let stub = Running::start(&mut stub).unwrap();
    assert!(stub.wait_errors("started", LIMIT), "{}", stub.errors());
    let live = attempt(&place, &[], &mut place.connects("sql.good.test"));
    assert_eq!(steps(&live)[..2], both("sql.good.test", FOUND), "{live:#}");
    for part in &live["parts"].as_array().unwrap()[..2] {
        assert_eq!(part["requests"], 1, "{live:#}");
        assert!(part["duration_ns"].as_u64() > Some(200_000_000), "{live:#}");
    }
    // And nothing else but the connection.
    assert_eq!(live["parts"].as_array().unwrap().len(), 3, "{live:#}");
    assert_eq!(live["target"]["name"], "sql.good.test");
}

#[test]
fn a_name_server_that_does_not_know_the_address_is_told_before_the_connection() {
    root_or_skip!("a name server that does not know the address is told before the connection");
    let _alone = alone();
    let place = Place::new("options timeout:1 attempts:1", &["--silent", "PTR"]);
    let live = attempt(&place, &[], &mut place.connects("ptr:sql.good.test"));
    let reverse = json!(["dns", "2.0.87.10.in-addr.arpa", "ptr", "timeout"]);
    assert!(steps(&live).contains(&reverse), "{live:#}");
}

#[test]
fn the_names_of_processes_at_the_same_time_never_mix() {
    root_or_skip!("the names of processes at the same time never mix");
    let _alone = alone();
    let names = ["one.test", "two.test", "three.test", "four.test"];
    let known: Vec<_> = names
        .iter()
        .map(|name| format!("{name}={SERVER_V4}"))
        .collect();
    let known: Vec<_> = known.iter().flat_map(|host| ["--host", host]).collect();
    let place = Place::new("", &known);
    let mut agent = Agent::start(&place.network.client, &[]).unwrap();
    let started = names.map(|name| (name, place.connects(name).spawn().unwrap()));
    let expected = started.map(|(name, mut child): (_, Child)| {
        assert!(child.wait().unwrap().success());
        (u64::from(child.id()), name)
    });
    agent.wait_for("attempt", names.len(), LIMIT).unwrap();
    let record = agent.stop().unwrap();
    let [logins, attempts] = ["login", "attempt"].map(|event| of(&record.events, event));
    assert_eq!(attempts.len(), names.len(), "{:#?}", record.events);
    for (pid, name) in expected {
        let mut own = logins.iter().filter(|login| login["process"]["pid"] == pid);
        let id = &own.next().unwrap()["attempt"]["id"];
        let attempt = attempts.iter().find(|one| one["attempt"]["id"] == *id);
        let attempt = &attempt.unwrap()["attempt"];
        assert_eq!(attempt["target"]["name"], name);
        assert_eq!(steps(attempt)[..2], both(name, FOUND), "{attempt:#}");
    }
}

#[test]
fn an_instance_by_name_is_told_from_the_name_to_the_login() {
    root_or_skip!("an instance by name is told from the name to the login");
    let _alone = alone();
    driver_or_skip!(Driver::Tsql);
    let place = Place::new("", &[]);
    let listen = format!("{SERVER_V4}:1434");
    let instance = format!("SALES={PORT}");
    let arguments = ["browser", "--listen", &listen, "--instance", &instance];
    let _browser = Peer::names(&place.network.server, &arguments).unwrap();
    let mut client = place.command();
    client.args([
        "tsql",
        "-S",
        "sql.good.test\\sales",
        "-U",
        "sa",
        "-P",
        "none",
    ]);
    let live = attempt(&place, &[], &mut client);
    let kinds = live["parts"].as_array().unwrap().iter();
    let kinds: Vec<_> = kinds.map(|part| &part["kind"]).collect();
    assert_eq!(kinds[0], "dns");
    assert_eq!(kinds[kinds.len() - 2..], ["lookup", "login"], "{live:#}");
    assert_eq!(live["target"]["name"], "sql.good.test");
    assert_eq!(live["target"]["instance"], "SALES");
}

#[test]
fn names_are_not_looked_at_where_only_sql_browser_is_asked_for() {
    root_or_skip!("names are not looked at where only SQL Browser is asked for");
    let _alone = alone();
    let place = Place::new("", &[]);
    let options = ["--side-traffic", "sql"];
    let live = attempt(&place, &options, &mut place.connects("sql.good.test"));
    assert_eq!(live["target"]["name"], Value::Null);
    assert_eq!(live["parts"].as_array().unwrap().len(), 1, "{live:#}");
}
