//! What a client asks SQL Browser is told, with the process that asks; and what it does to log in once is one
//! attempt.

use std::process::Command;
use std::time::Duration;

use harness::agent::{Agent, Record, of};
use harness::attempts::{apart_each_time, times_apart};
use harness::capture::Capture;
use harness::drivers::{Driver, Encrypt, Login, PASSWORD};
use harness::net::{self, Network, SERVER_V4};
use harness::peer::Peer;
use harness::process::run;
use harness::replay;
use harness::{driver_or_skip, root_or_skip};
use serde_json::Value;

use crate::run::alone;

const LIMIT: Duration = Duration::from_mins(1);
/// Clients of each instance at the same time.
const EACH: usize = 6;
/// Questions, none of which waits.
const FLOOD: usize = 20_000;
const INSTANCES: [(&str, u16); 2] = [("SALES", 41_433), ("STOCK", 42_433)];

/// A host with instances that SQL Browser knows.
struct Servers {
    _peers: Vec<Peer>,
}

impl Servers {
    fn start(network: &Network, arguments: &[&str]) -> Self {
        let mut peers: Vec<_> = INSTANCES
            .iter()
            .map(|(_, port)| {
                let listen = format!("{SERVER_V4}:{port}");
                Peer::scenario(Some(&network.server), &["--listen", &listen]).unwrap()
            })
            .collect();
        let listen = format!("{SERVER_V4}:1434");
        let known = INSTANCES.map(|(name, port)| format!("{name}={port}"));
        let mut all = vec!["browser", "--listen", &listen];
        for instance in &known {
            all.extend(["--instance", instance]);
        }
        peers.push(Peer::names(&network.server, &[&all, arguments].concat()).unwrap());
        Self { _peers: peers }
    }
}

/// A login to an instance by its name.
fn login(instance: &str, encrypt: Encrypt) -> Login {
    Login {
        instance: Some(instance.to_owned()),
        ..Login::to(SERVER_V4, 0, encrypt)
    }
}

/// What the agent says of an attempt, without what only the host knows, and without times.
fn shape(attempt: &Value) -> Value {
    let parts = attempt["attempt"]["parts"].as_array().unwrap();
    let parts: Vec<_> = parts
        .iter()
        .map(|part| {
            let mut part = part.clone();
            let part = part.as_object_mut().unwrap();
            part.remove("start_ns");
            part.remove("duration_ns");
            Value::Object(part.clone())
        })
        .collect();
    let mut attempt = attempt["attempt"].clone();
    let fields = attempt.as_object_mut().unwrap();
    for time in ["start", "duration_ns", "unexplained_ns"] {
        fields.remove(time);
    }
    fields.insert("parts".to_owned(), Value::Array(parts));
    attempt
}

#[test]
fn whoever_asks_for_an_instance_is_followed_from_the_question_to_the_login() {
    root_or_skip!("whoever asks for an instance is followed from the question to the login");
    let _alone = alone();
    for (driver, encrypt) in [
        (Driver::Tsql, Encrypt::Off),
        (Driver::PythonTds, Encrypt::Off),
        (Driver::Odbc, Encrypt::On),
        (Driver::Tedious, Encrypt::On),
    ] {
        driver_or_skip!(driver);
        let apart = apart_each_time(|| asks_and_logs_in(driver, encrypt));
        assert_eq!(apart, Vec::<String>::new(), "{driver:?}");
    }
}

/// A client that asks for an instance and logs in there; the times of its attempt that are told in another way of a
/// capture.
fn asks_and_logs_in(driver: Driver, encrypt: Encrypt) -> Vec<String> {
    let network = Network::new().unwrap();
    let _servers = Servers::start(&network, &[]);
    let capture = Capture::start_whole(&network.client, net::INTERFACE, 41_433).unwrap();
    let mut agent = Agent::start(&network.client, &[]).unwrap();
    let fared = driver.run(Some(&network.client), &login("sales", encrypt));
    let fared = fared.unwrap();
    assert!(fared.ok, "{driver:?}: {}", fared.output);
    agent.wait_for("attempt", 1, LIMIT).unwrap();
    agent.wait_for("close", 1, LIMIT).unwrap();
    agent.wait_for("lookup", 1, LIMIT).unwrap();
    let record = agent.stop().unwrap();

    let [lookups, logins, attempts] =
        ["lookup", "login", "attempt"].map(|event| of(&record.events, event));
    // Where the processor is busy some ask again before they look for the answer.
    assert_eq!(
        (logins.len(), attempts.len()),
        (1, 1),
        "{driver:?}: {:#?}",
        record.events
    );
    let [lookup, login, attempt] = [&lookups[0], &logins[0], &attempts[0]];
    assert_eq!(lookup["lookup"]["outcome"], "answered");
    assert_eq!(lookup["server"]["port"], 41_433);
    assert_eq!(lookup["process"]["pid"], login["process"]["pid"]);
    assert_eq!(lookup["process"]["name"], driver.process_name());
    assert_eq!(login["server"]["instance"], "SALES");
    assert_eq!(login["connection"]["partial"], false);
    assert_eq!(login["attempt"]["id"], attempt["attempt"]["id"]);
    assert_eq!(attempt["attempt"]["target"]["instance"], "SALES");
    assert_eq!(attempt["attempt"]["connections"], 1);
    let kinds: Vec<_> = parts(attempt).iter().map(|part| &part["kind"]).collect();
    // Some ask for all instances, and connect to one of them.
    assert_eq!(kinds, ["lookup", "login"], "{driver:?}");

    let captured = capture.stop().unwrap();
    let replayed = replay::events(captured.file()).unwrap();
    let again = of(&replayed, "attempt");
    assert_eq!(again.len(), 1, "{replayed:#?}");
    assert_eq!(shape(attempt), shape(&again[0]), "{driver:?}");
    let replayed = of(&replayed, "lookup");
    assert_eq!(lookups.len(), replayed.len());
    let [mut live, mut said] = [lookup, &replayed[0]].map(|line| line["lookup"].clone());
    for lookup in [&mut live, &mut said] {
        let lookup = lookup.as_object_mut().unwrap();
        lookup.remove("duration_ns");
        // The capture ends before the wait for further answers does.
        lookup.remove("partial");
    }
    assert_eq!(live, said, "{driver:?}");
    times_apart(attempt, &again[0])
}

fn parts(attempt: &Value) -> &Vec<Value> {
    attempt["attempt"]["parts"].as_array().unwrap()
}

#[test]
fn the_server_s_host_tells_what_its_sql_browser_is_asked() {
    root_or_skip!("the server's host tells what its SQL Browser is asked");
    let _alone = alone();
    driver_or_skip!(Driver::Tsql);
    let network = Network::new().unwrap();
    let _servers = Servers::start(&network, &[]);
    let mut agent = Agent::start(&network.server, &[]).unwrap();
    // Outside of the control group that the agent sees: on another host, to all that it knows.
    let mut client = Command::new("nsenter");
    client.arg(format!("--net=/run/netns/{}", network.client.name()));
    client.args([
        "tsql",
        "-S",
        &format!("{SERVER_V4}\\stock"),
        "-U",
        "sa",
        "-P",
        PASSWORD,
    ]);
    run(&mut client, "exit\n", LIMIT).unwrap();
    agent.wait_for("attempt", 1, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    let [lookups, logins] = ["lookup", "login"].map(|event| of(&record.events, event));
    assert_eq!(
        (lookups.len(), logins.len()),
        (1, 1),
        "{:#?}",
        record.events
    );
    assert_eq!(lookups[0]["lookup"]["answers"], 1);
    assert_eq!(lookups[0]["process"], Value::Null);
    assert_eq!(logins[0]["server"]["instance"], "STOCK");
    let attempt = &of(&record.events, "attempt")[0];
    assert_eq!(parts(attempt).len(), 2, "{attempt:#}");
}

#[test]
fn attempts_of_processes_at_the_same_time_never_mix() {
    root_or_skip!("attempts of processes at the same time never mix");
    let _alone = alone();
    driver_or_skip!(Driver::Tsql);
    let network = Network::new().unwrap();
    let _servers = Servers::start(&network, &[]);
    let mut agent = Agent::start(&network.client, &[]).unwrap();
    let host = &network.client;
    std::thread::scope(|scope| {
        for number in 0..2 * EACH {
            let instance = INSTANCES[number % 2].0;
            scope.spawn(move || {
                let fared = Driver::Tsql.run(Some(host), &login(instance, Encrypt::Off));
                assert!(fared.unwrap().ok);
            });
        }
    });
    agent.wait_for("attempt", 2 * EACH, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    let [lookups, logins, attempts] =
        ["lookup", "login", "attempt"].map(|event| of(&record.events, event));
    assert_eq!(attempts.len(), 2 * EACH, "{:#?}", record.events);
    for attempt in &attempts {
        let [lookup, one] = &parts(attempt)[..] else {
            panic!("{attempt:#}");
        };
        let login = logins.iter();
        let mut login = login.filter(|login| login["connection"]["id"] == one["connection_id"]);
        let (login, other) = (login.next().unwrap(), login.next());
        assert_eq!(other, None);
        let asked = lookups
            .iter()
            .find(|asked| asked["process"]["pid"] == login["process"]["pid"])
            .unwrap();
        // By name, port and process it is the same client's.
        assert_eq!(lookup["name"], asked["lookup"]["instance"]);
        assert_eq!(login["server"]["port"], asked["server"]["port"]);
        assert_eq!(lookup["duration_ns"], asked["lookup"]["duration_ns"]);
    }
}

#[test]
fn a_question_that_is_lost_is_asked_again_and_silence_is_told() {
    root_or_skip!("a question that is lost is asked again and silence is told");
    let _alone = alone();
    driver_or_skip!(Driver::Tsql);
    let network = Network::new().unwrap();
    let _servers = Servers::start(&network, &[]);
    let mut agent = Agent::start(&network.client, &[]).unwrap();
    let mut unknown = login("nowhere", Encrypt::Off);
    unknown.timeout = 2;
    let fared = Driver::Tsql.run(Some(&network.client), &unknown).unwrap();
    assert!(!fared.ok, "{}", fared.output);
    agent.wait_for("lookup", 1, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    let lookup = &of(&record.events, "lookup")[0];
    assert_eq!(lookup["lookup"]["outcome"], "timeout", "{lookup:#}");
    assert_eq!(lookup["process"]["name"], "tsql");
    let attempt = &of(&record.events, "attempt")[0];
    assert_eq!(attempt["attempt"]["outcome"], "timeout");
    assert_eq!(attempt["attempt"]["connections"], 0);
}

#[test]
fn without_side_traffic_nothing_of_it_is_told() {
    root_or_skip!("without side traffic nothing of it is told");
    let _alone = alone();
    driver_or_skip!(Driver::Tsql);
    let network = Network::new().unwrap();
    let _servers = Servers::start(&network, &[]);
    let options = ["--side-traffic", "off", "--port", "42433"];
    let mut agent = Agent::start(&network.client, &options).unwrap();
    for instance in ["sales", "stock"] {
        let fared = Driver::Tsql.run(Some(&network.client), &login(instance, Encrypt::Off));
        assert!(fared.unwrap().ok);
    }
    agent.wait_for("close", 1, LIMIT).unwrap();
    let record: Record = agent.stop().unwrap();
    let [lookups, logins] = ["lookup", "login"].map(|event| of(&record.events, event));
    assert_eq!(
        (lookups.len(), logins.len()),
        (0, 1),
        "{:#?}",
        record.events
    );
    assert_eq!(logins[0]["server"]["port"], 42_433);
}

#[test]
fn a_flood_of_questions_is_told_to_a_bound_and_the_rest_is_counted() {
    root_or_skip!("a flood of questions is told to a bound and the rest is counted");
    let _alone = alone();
    let network = Network::new().unwrap();
    let agent = Agent::start(&network.client, &[]).unwrap();
    let asks = format!(
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         for n in range({FLOOD}): s.sendto(b'\\x04I%d\\0' % n, ('127.0.0.1', 1434))"
    );
    let mut command = network.client.command("python3");
    let (status, output) = run(command.args(["-c", &asks]), "", LIMIT).unwrap();
    assert!(status.success(), "{output}");
    let record = agent.stop().unwrap();
    let told = of(&record.events, "lookup").len();
    let lost = of(&record.events, "loss");
    let held = lost
        .iter()
        .filter(|loss| loss["loss"]["reason"] == "datagram_held")
        .filter_map(|loss| loss["loss"]["count"].as_u64());
    let held = held.sum::<u64>() as usize;
    assert!(held > 0, "{lost:#?}");
    assert_eq!(told + held, FLOOD);
}
