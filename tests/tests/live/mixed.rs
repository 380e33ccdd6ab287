//! Two processes that log in at the same time, again and again and each time by another way: what one has done
//! for one login is one attempt, and nothing else is in it.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::agent::{Agent, of};
use harness::drivers::{Driver, python};
use harness::net::{Namespace, SERVER_V4, SERVER_V6};
use harness::peer::{Peer, workspace};
use harness::process::{Ended, Running};
use harness::{driver_or_skip, root_or_skip};
use serde_json::{Value, json};

use crate::resolutions::Place;
use crate::run::{PORT, alone};

const LIMIT: Duration = Duration::from_mins(3);
/// Logins of each process.
const EACH: usize = 100;
/// A port that only listens by IPv4, where a redirect begins, where it leads, and where an instance listens.
const SPARSE: u16 = 1500;
const GATEWAY: u16 = 1501;
const NODE: u16 = 11_001;
const SALES: u16 = 41_433;
const NAME: &str = "sql.good.test";

/// What a process says that it has done: by which way, and by which connections.
fn done(ended: &Ended) -> Vec<(String, Vec<String>)> {
    assert!(ended.status.success(), "{}", ended.errors);
    let lines = ended.lines.iter().skip(1);
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let each = lines.map(|line| {
        let way = line["way"].as_str().unwrap().to_owned();
        let connections = line["connections"].as_array().unwrap().iter();
        let name = |name: &Value| name.as_str().unwrap().to_owned();
        (way, connections.map(name).collect())
    });
    each.collect()
}

/// How the client names a connection: its own port, and the server's end.
fn ends(login: &Value) -> String {
    let [client, server] = [&login["client"], &login["server"]];
    let address = server["address"].as_str().unwrap();
    format!("{} {address} {}", client["port"], server["port"])
}

/// Servers for each way.
fn servers(host: &Namespace) -> Vec<Peer> {
    let route = format!("{SERVER_V4}:{NODE}");
    let all: [(&str, u16, &[&str]); 5] = [
        (&format!("[{SERVER_V6}]"), PORT, &[]),
        (SERVER_V4, SPARSE, &[]),
        (SERVER_V4, GATEWAY, &["--route", &route]),
        (SERVER_V4, NODE, &[]),
        (SERVER_V4, SALES, &[]),
    ];
    let mut peers: Vec<_> = all
        .iter()
        .map(|(address, port, arguments)| {
            let listen = ["--listen", &format!("{address}:{port}")];
            Peer::scenario(Some(host), &[&listen, *arguments].concat()).unwrap()
        })
        .collect();
    let listen = format!("{SERVER_V4}:1434");
    let instance = format!("SALES={SALES}");
    let browser = ["browser", "--listen", &listen, "--instance", &instance];
    peers.push(Peer::names(host, &browser).unwrap());
    peers
}

/// What an attempt by this way consists of: kinds, outcomes and losers, in the order in which they began.
fn expected(way: &str) -> Vec<Value> {
    let login = json!(["login", "success", null]);
    let first = match way {
        "plain" => return vec![login],
        "named" => {
            let asked = [["dns", "answered"], ["dns", "no_data"]];
            let mut parts = asked
                .map(|[kind, outcome]| json!([kind, outcome, null]))
                .to_vec();
            parts.push(login);
            return parts;
        }
        "looked_up" => json!(["lookup", "answered", null]),
        "redirected" => json!(["login", "redirected", null]),
        "refused" => json!(["connect", "refused", null]),
        "raced" => json!(["connect", "aborted", true]),
        "again" => json!(["login", "aborted", null]),
        other => panic!("{other}"),
    };
    vec![first, login]
}

/// What it is said to consist of, but for waits of a client that gets no processor here.
fn steps(attempt: &Value) -> Vec<Value> {
    let parts = attempt["attempt"]["parts"].as_array().unwrap().iter();
    parts
        .filter(|part| part["kind"] != "wait")
        .map(|part| json!([part["kind"], part["outcome"], part["loser"]]))
        .collect()
}

#[test]
fn two_hundred_mixed_attempts_of_two_processes_at_the_same_time_never_mix() {
    root_or_skip!("two hundred mixed attempts of two processes at the same time never mix");
    driver_or_skip!(Driver::PythonTds);
    let _alone = alone();
    let place = Place::new("", &[]);
    let _servers = servers(&place.network.server);
    let [port, sparse, gateway, each] =
        [PORT, SPARSE, GATEWAY, EACH as u16].map(|number| number.to_string());
    // A port that refuses is not known by what is said there; the other ones are.
    let options = ["--port", "auto", "--port", &sparse];
    let mut agent = Agent::start(&place.network.client, &options).unwrap();
    let both = ["0", "3"].map(|first| {
        let mut client = place.command();
        client.arg(python());
        client.arg(workspace().join("tests/drivers/mixed.py"));
        client.args([
            SERVER_V4, SERVER_V6, NAME, &port, &sparse, "SALES", &gateway,
        ]);
        let mut running = Running::start_held(client.args([&each, first])).unwrap();
        assert!(running.wait_lines(LIMIT, |lines| !lines.is_empty()));
        running
    });
    let both = std::thread::scope(|scope| {
        let both = both.map(|running| scope.spawn(|| running.release_within(LIMIT).unwrap()));
        both.map(|running| running.join().unwrap())
    });
    let ways: Vec<_> = both.iter().flat_map(done).collect();
    assert_eq!(ways.len(), 2 * EACH);
    agent.wait_for("attempt", ways.len(), LIMIT).unwrap();
    let record = agent.stop().unwrap();

    let [logins, attempts] = ["login", "attempt"].map(|event| of(&record.events, event));
    assert_eq!(of(&record.events, "loss"), Vec::<Value>::new());
    assert_eq!(
        attempts.len(),
        ways.len(),
        "each is told once, and no other"
    );
    let by_id: BTreeMap<_, _> = attempts
        .iter()
        .map(|attempt| (attempt["attempt"]["id"].as_str().unwrap(), attempt))
        .collect();
    let by_ends: BTreeMap<_, _> = logins.iter().map(|login| (ends(login), login)).collect();
    assert_eq!(by_ends.len(), logins.len(), "{logins:#?}");
    let all = ways
        .iter()
        .flat_map(|(way, opened)| opened.iter().map(move |ends| (way, ends)));
    let untold: Vec<_> = all
        .filter(|(_, ends)| !by_ends.contains_key(*ends))
        .collect();
    assert!(untold.is_empty(), "{untold:#?}");
    for (way, opened) in &ways {
        let id = by_ends[&opened[0]]["attempt"]["id"].as_str().unwrap();
        let attempt = by_id[id];
        let mut own: Vec<_> = opened
            .iter()
            .map(|ends| by_ends[ends]["connection"]["id"].as_str().unwrap())
            .collect();
        let parts = attempt["attempt"]["parts"].as_array().unwrap().iter();
        let mut told: Vec<_> = parts
            .filter_map(|part| part["connection_id"].as_str())
            .collect();
        own.sort_unstable();
        told.sort_unstable();
        assert_eq!(own, told, "{way}: {attempt:#}");
        let (mut expected, mut steps) = (expected(way), steps(attempt));
        if way == "raced" || way == "named" {
            // Which one begins first is up to the client.
            for steps in [&mut expected, &mut steps] {
                steps.sort_by_key(Value::to_string);
            }
        }
        assert_eq!(steps, expected, "{way}: {attempt:#}");
        assert_eq!(
            attempt["attempt"]["outcome"], "success",
            "{way}: {attempt:#}"
        );
    }
}
