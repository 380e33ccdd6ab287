//! What a real driver does to log in once is one attempt, however many connections that takes; and replay
//! says the same of the packets.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::agent::{Agent, of};
use harness::attempts::{apart_each_time, times_apart};
use harness::capture::Capture;
use harness::drivers::{Driver, Encrypt, Fared, Login};
use harness::net::{BLACK_HOLE_V4, CLIENT_V4, INTERFACE, Namespace, Network, SERVER_V4, SERVER_V6};
use harness::peer::Peer;
use harness::process::{Running, run};
use harness::replay;
use harness::{driver_or_skip, root_or_skip};
use serde_json::{Value, json};

use crate::run::{PORT, alone};

const LIMIT: Duration = Duration::from_mins(1);
/// Where a proxy listens.
const LOCAL: u16 = 15_001;
/// A port that a login is sent on to.
const ELSEWHERE: u16 = 11_001;
/// Of the server's host: what comes first by IPv6 is dropped, the next ones are more than the limit lets match.
const LOSES_THE_FIRST_SYN: &str = "table ip6 slow {
    chain in {
        type filter hook input priority 0
        tcp flags & (syn | ack) == syn limit rate 1/day burst 1 packets drop
    }
}";
/// A name with several addresses.
const NAME: &str = "sql.good.test";

/// Two hosts, and what the client's processes know as `/etc/hosts`.
struct Place {
    network: Network,
    hosts: PathBuf,
}

impl Place {
    fn new(addresses: &[&str]) -> Self {
        let network = Network::new().unwrap();
        let hosts = std::env::temp_dir().join(format!("{}.hosts", network.client.name()));
        let lines = addresses
            .iter()
            .map(|address| format!("{address} {NAME}\n"));
        std::fs::write(&hosts, lines.collect::<String>()).unwrap();
        Self { network, hosts }
    }

    fn server(&self, address: &str, port: u16, arguments: &[&str]) -> Peer {
        let address = if address.contains(':') {
            format!("[{address}]:{port}")
        } else {
            format!("{address}:{port}")
        };
        let listen = ["--listen", &address];
        Peer::scenario(Some(&self.network.server), &[&listen, arguments].concat()).unwrap()
    }

    /// What comes first by IPv6 does not reach the server: a SYN is answered once it is sent again.
    fn loses_the_first_syn(&self) {
        let mut nft = self.network.server.command("nft");
        let (status, output) = run(nft.args(["-f", "-"]), LOSES_THE_FIRST_SYN, LIMIT).unwrap();
        assert!(status.success(), "{output}");
    }

    /// Lets a driver log in, or not.
    fn fares(&self, driver: Driver, login: &Login) -> Fared {
        let start = |program: &Path| -> Command {
            let mut command = self.network.client.command("unshare");
            let bind = format!(
                "mount --bind {} /etc/hosts && exec \"$@\"",
                self.hosts.display()
            );
            command.args(["--mount", "sh", "-c", &bind, "sh"]);
            command.arg(program);
            command
        };
        let mut ready = driver.ready(login, start).unwrap();
        let running = Running::start_with(&mut ready.command, &ready.input).unwrap();
        let ended = running.end(LIMIT).unwrap();
        let output = ended.lines.join("\n") + &ended.errors;
        Fared {
            ok: driver.is_answered(ended.status.success(), &output),
            output,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // In a temporary directory, where a file left behind does no harm.
        std::fs::remove_file(&self.hosts).ok();
    }
}

/// The only attempt that was told, whose connections' lines all name it, and nobody else's.
fn only(events: &[Value]) -> &Value {
    let attempts: Vec<_> = events
        .iter()
        .filter(|line| line["event"] == "attempt")
        .collect();
    let [attempt] = attempts[..] else {
        panic!("{attempts:#?} of {events:#?}");
    };
    let logins = of(events, "login");
    let mut numbers: Vec<_> = logins
        .iter()
        .map(|login| {
            assert_eq!(
                login["attempt"]["id"], attempt["attempt"]["id"],
                "{login:#}"
            );
            login["attempt"]["number"].as_u64().unwrap()
        })
        .collect();
    numbers.sort_unstable();
    let all: Vec<_> = (1..=attempt["attempt"]["connections"].as_u64().unwrap()).collect();
    assert_eq!(numbers, all, "{events:#?}");
    attempt
}

/// What was done, in its order: of each part what it was, what came of it, and what else is said of it.
fn steps(attempt: &Value) -> Vec<Value> {
    let parts = attempt["attempt"]["parts"].as_array().unwrap().iter();
    let told = ["loser", "proxied", "partner"];
    let step = |part: &Value| {
        let told = told.iter().filter(|name| part[**name] == true);
        let told: Vec<_> = told.collect();
        json!([part["kind"], part["outcome"], told])
    };
    parts.map(step).collect()
}

/// What is said first of why.
fn cause(attempt: &Value) -> &str {
    attempt["attempt"]["diagnosis"][0]["cause"]
        .as_str()
        .unwrap_or_default()
}

/// Lets a driver log in while it is watched, and its packets are captured at these interfaces: what is told live
/// and what is told of them.
fn watched(
    place: &Place,
    (driver, login): (Driver, &Login),
    interfaces: &[&str],
) -> (Vec<Value>, Vec<Value>, Fared) {
    let host: &Namespace = &place.network.client;
    let captures: Vec<_> = interfaces
        .iter()
        .zip(1..)
        .map(|(interface, number)| Capture::start_whole(host, interface, number).unwrap())
        .collect();
    // A port that is learned from a redirect may be watched only when the SYN has passed.
    let ports = ["--port", "auto", "--port", &ELSEWHERE.to_string()];
    let mut agent = Agent::start(host, &ports).unwrap();
    let fared = place.fares(driver, login);
    let told = agent.wait_for("attempt", 1, LIMIT).unwrap();
    assert!(!told.is_empty(), "no attempt: {}", fared.output);
    let record = agent.stop().unwrap();
    let files: Vec<_> = captures
        .into_iter()
        .map(|one| one.stop().unwrap())
        .collect();
    let mut arguments: Vec<_> = files[1..]
        .iter()
        .map(|file| file.file().to_str().unwrap())
        .collect();
    arguments.extend(["--port", "auto"]);
    let replayed = replay::events_with(files[0].file(), &arguments).unwrap();
    (record.events, replayed, fared)
}

/// The same of the attempt, and that both say it alike.
fn attempted(place: &Place, client: (Driver, &Login), interfaces: &[&str]) -> (Value, Fared) {
    let (mut live, mut replayed, mut fared) = watched(place, client, interfaces);
    // The processor may have been taken away between two stamps, but not every time.
    for _ in 0..2 {
        if times_apart(only(&live), only(&replayed)).is_empty() {
            break;
        }
        (live, replayed, fared) = watched(place, client, interfaces);
    }
    let (live, replayed) = (only(&live), only(&replayed));
    assert_eq!(times_apart(live, replayed), Vec::<String>::new());
    let said = format!("{live:#}\n{replayed:#}");
    assert_eq!(steps(live), steps(replayed), "{said}");
    for field in ["id", "outcome", "connections", "target"] {
        assert_eq!(live["attempt"][field], replayed["attempt"][field], "{said}");
    }
    assert_eq!(cause(live), cause(replayed), "{said}");
    (live.clone(), fared)
}

#[test]
fn a_proxy_on_the_clients_host_and_its_own_connection_are_one_attempt() {
    root_or_skip!("a proxy on the client's host and its own connection are one attempt");
    let _alone = alone();
    for (driver, encrypt) in [
        (Driver::Odbc, Encrypt::Off),
        (Driver::Tedious, Encrypt::None),
    ] {
        driver_or_skip!(driver);
        let place = Place::new(&[]);
        let _server = place.server(SERVER_V4, PORT, &[]);
        let listen = format!("TCP-LISTEN:{LOCAL},bind=127.0.0.1,fork");
        let mut socat = place.network.client.command("socat");
        let to = format!("TCP:{SERVER_V4}:{PORT}");
        let proxy = Running::start(socat.args(["-d", "-d", &listen, &to])).unwrap();
        assert!(
            proxy.wait_errors("listening on", LIMIT),
            "{}",
            proxy.errors()
        );
        let login = Login::to("127.0.0.1", LOCAL, encrypt);
        let (attempt, fared) = attempted(&place, (driver, &login), &[INTERFACE, "lo"]);
        assert!(fared.ok, "{}", fared.output);
        let expected = [
            json!(["login", "success", []]),
            json!(["login", "success", ["proxied"]]),
        ];
        assert_eq!(steps(&attempt), expected, "{attempt:#}");
        assert_eq!(attempt["attempt"]["target"]["port"], LOCAL);
        assert_eq!(attempt["client"]["address"], "127.0.0.1");
    }
}

#[test]
fn a_driver_that_is_refused_and_tries_again_makes_one_attempt() {
    root_or_skip!("a driver that is refused and tries again makes one attempt");
    driver_or_skip!(Driver::Odbc);
    let place = Place::new(&[]);
    let mut login = Login::to(SERVER_V4, PORT, Encrypt::Off);
    login.timeout = 4;
    let (attempt, fared) = attempted(&place, (Driver::Odbc, &login), &[INTERFACE]);
    assert!(!fared.ok);
    let steps = steps(&attempt);
    assert!(steps.len() > 3, "{attempt:#}");
    let refused = json!(["connect", "refused", []]);
    assert!(steps.iter().all(|step| *step == refused), "{attempt:#}");
    assert_eq!(attempt["attempt"]["outcome"], "refused");
}

#[test]
fn of_addresses_that_are_tried_at_once_one_wins_and_the_others_are_not_left_over() {
    root_or_skip!("of addresses that are tried at once one wins and the others are not left over");
    driver_or_skip!(Driver::Odbc);
    let _alone = alone();
    // Two families of one host, one address that is dead, and one of either family that are dead and slow.
    for addresses in [
        [SERVER_V4, SERVER_V6],
        [BLACK_HOLE_V4, SERVER_V4],
        [BLACK_HOLE_V4, SERVER_V6],
    ] {
        let place = Place::new(&addresses);
        if addresses == [BLACK_HOLE_V4, SERVER_V6] {
            place.loses_the_first_syn();
        }
        let _servers = [SERVER_V4, SERVER_V6].map(|address| place.server(address, PORT, &[]));
        let mut login = Login::to(NAME, PORT, Encrypt::Off);
        login.several = true;
        let race = || {
            let (live, replayed, fared) = watched(&place, (Driver::Odbc, &login), &[INTERFACE]);
            assert!(fared.ok, "{}", fared.output);
            let attempt = only(&live);
            let mut steps = steps(attempt);
            steps.sort_by_key(|step| step[0] == "login");
            assert_eq!(steps.len(), 2, "{attempt:#}");
            assert_eq!(steps[0][2], json!(["loser"]), "{attempt:#}");
            assert_eq!(steps[1], json!(["login", "success", []]), "{attempt:#}");
            // That its client has given up a SYN only the host knows.
            if addresses.contains(&BLACK_HOLE_V4) {
                return Vec::new();
            }
            let again = only(&replayed);
            let mut same = self::steps(again);
            same.sort_by_key(|step| step[0] == "login");
            assert_eq!(steps, same);
            times_apart(attempt, again)
        };
        assert_eq!(apart_each_time(race), Vec::<String>::new());
    }
}

#[test]
fn a_race_that_a_silent_address_wins_fails_as_one_attempt() {
    root_or_skip!("a race that a silent address wins fails as one attempt");
    driver_or_skip!(Driver::Odbc);
    // One address is dead, one is slow, and one is accepted at and never answers.
    let place = Place::new(&[BLACK_HOLE_V4, SERVER_V6, SERVER_V4]);
    place.loses_the_first_syn();
    let _silent = place.server(SERVER_V4, PORT, &["--silent-at", "accept"]);
    let _slow = place.server(SERVER_V6, PORT, &[]);
    let mut login = Login::to(NAME, PORT, Encrypt::Off);
    (login.several, login.timeout) = (true, 4);
    let (live, _, fared) = watched(&place, (Driver::Odbc, &login), &[INTERFACE]);
    assert!(!fared.ok);
    let attempt = only(&live);
    let (own, lost): (Vec<_>, Vec<_>) = steps(attempt)
        .into_iter()
        .partition(|step| step[2] == json!([]));
    assert_eq!(own, [json!(["login", "timeout", []])], "{attempt:#}");
    assert_eq!(lost.len(), 2, "{attempt:#}");
    assert_eq!(
        cause(attempt),
        "parallel_race_won_by_dead_backend",
        "{attempt:#}"
    );
}

#[test]
fn a_redirect_is_one_attempt_with_where_it_leads_and_with_where_nobody_is() {
    root_or_skip!("a redirect is one attempt with where it leads and with where nobody is");
    for driver in [Driver::Odbc, Driver::Tedious] {
        driver_or_skip!(driver);
        let encrypt = if driver == Driver::Tedious {
            Encrypt::None
        } else {
            Encrypt::Off
        };
        for (to, outcome) in [(SERVER_V4, "success"), (BLACK_HOLE_V4, "unreachable")] {
            if driver == Driver::Tedious && to == BLACK_HOLE_V4 {
                // It waits for longer than it is told.
                continue;
            }
            let place = Place::new(&[]);
            let route = format!("{to}:{ELSEWHERE}");
            let _gateway = place.server(SERVER_V4, PORT, &["--route", &route]);
            let _node = (to == SERVER_V4).then(|| place.server(to, ELSEWHERE, &[]));
            let mut login = Login::to(SERVER_V4, PORT, encrypt);
            login.timeout = 5;
            let (attempt, fared) = attempted(&place, (driver, &login), &[INTERFACE]);
            assert_eq!(fared.ok, outcome == "success", "{}", fared.output);
            let steps = steps(&attempt);
            assert_eq!(steps[0], json!(["login", "redirected", []]), "{attempt:#}");
            assert_eq!(attempt["attempt"]["outcome"], outcome, "{attempt:#}");
            if outcome == "unreachable" {
                assert_eq!(cause(&attempt), "redirect_blocked", "{attempt:#}");
            }
            assert_eq!(attempt["client"]["address"], CLIENT_V4);
        }
    }
}

#[test]
fn a_redirect_that_cannot_be_read_is_one_attempt_with_where_the_process_goes() {
    root_or_skip!("a redirect that cannot be read is one attempt with where the process goes");
    driver_or_skip!(Driver::Odbc);
    let place = Place::new(&[]);
    let route = format!("{SERVER_V4}:{ELSEWHERE}");
    let gateway = ["--encrypt", "on", "--route", &route];
    let _gateway = place.server(SERVER_V4, PORT, &gateway);
    let _node = place.server(SERVER_V4, ELSEWHERE, &["--encrypt", "on"]);
    // The port that it leads to is known by what is said there only.
    let mut agent = Agent::start(&place.network.client, &[]).unwrap();
    let fared = place.fares(Driver::Odbc, &Login::to(SERVER_V4, PORT, Encrypt::On));
    assert!(fared.ok, "{}", fared.output);
    agent.wait_for("attempt", 1, LIMIT).unwrap();
    let record = agent.stop().unwrap();
    let attempt = only(&record.events);
    let expected = [
        json!(["login", "redirected", []]),
        json!(["login", "success", []]),
    ];
    assert_eq!(steps(attempt), expected, "{attempt:#}");
    for login in of(&record.events, "login") {
        assert_eq!(login["tds"]["encryption"], "full", "{login:#}");
        assert_eq!(login["login"]["redirect"], Value::Null, "{login:#}");
        // From its first SYN on.
        assert_eq!(login["connection"]["partial"], false, "{login:#}");
        assert_eq!(login["phases"]["handshake"]["complete"], true, "{login:#}");
    }
}
