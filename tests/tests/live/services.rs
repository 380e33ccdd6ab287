//! What else a client asks before it can log in is told: Kerberos, the machine's own tokens, who knows which
//! certificates are revoked. Of what it asks for other reasons nothing is.

use std::net::SocketAddr;
use std::time::Duration;

use harness::agent::{Agent, of};
use harness::attempts::{apart_each_time, times_apart};
use harness::capture::Capture;
use harness::drivers::{Driver, Encrypt, Login, PASSWORD};
use harness::kdc::{Environment, Kdc, Key, SPN};
use harness::net::{self, BLACK_HOLE_V4, Network, SERVER_V4};
use harness::peer::{Peer, workspace};
use harness::process::run;
use harness::replay;
use harness::secrets::{self, Needle};
use harness::{driver_or_skip, kdc_or_skip, root_or_skip};
use serde_json::{Value, json};

use crate::run::{PORT, alone};

const LIMIT: Duration = Duration::from_mins(1);
/// Where Azure gives a machine its tokens.
const IMDS: &str = "169.254.169.254";
/// How late what is late comes, in milliseconds.
const LATE: u64 = 1500;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What an agent, and replay of a capture of the same, say of the one attempt that `client` makes.
struct Seen {
    live: Value,
    replayed: Value,
    logins: Vec<Value>,
    said: String,
}

fn seen(
    network: &Network,
    options: &[&str],
    needles: impl Fn() -> Vec<Needle>,
    client: impl FnOnce(),
) -> Seen {
    let capture = Capture::start_whole(&network.client, net::INTERFACE, PORT).unwrap();
    let mut agent = Agent::start(&network.client, options).unwrap();
    client();
    agent.wait_for("attempt", 1, LIMIT).unwrap();
    let needles = needles();
    secrets::assert_not_in_memory(agent.pid(), &needles);
    secrets::assert_not_in_maps(agent.pid(), &needles);
    let captured = capture.stop().unwrap();
    let record = agent.stop().unwrap();
    let said = format!("{:?} {}", record.events, record.log);
    let found = secrets::found(&needles, said.as_bytes());
    assert_eq!(found, Vec::<&str>::new(), "{said}");
    let attempts = of(&record.events, "attempt");
    assert_eq!(attempts.len(), 1, "{:#?}", record.events);
    let replayed = of(&replay::events(captured.file()).unwrap(), "attempt");
    Seen {
        live: attempts[0]["attempt"].clone(),
        replayed: replayed[0]["attempt"].clone(),
        logins: of(&record.events, "login"),
        said,
    }
}

impl Seen {
    /// Its parts of a kind: outcome and error code.
    fn parts(attempt: &Value, kind: &str) -> Vec<Value> {
        let parts = attempt["parts"].as_array().unwrap().iter();
        let own = parts.filter(|part| part["kind"] == kind);
        own.map(|part| json!([part["outcome"], part["error_code"]]))
            .collect()
    }

    /// Asserts that live and in replay there are these parts of a kind.
    fn assert_parts(&self, kind: &str, expected: &[Value]) {
        for attempt in [&self.live, &self.replayed] {
            assert_eq!(Self::parts(attempt, kind), expected, "{attempt:#}");
        }
    }

    /// Asserts that this is the first cause of the attempt, live and in replay.
    fn assert_cause(&self, cause: &str) {
        for attempt in [&self.live, &self.replayed] {
            assert_eq!(attempt["diagnosis"][0]["cause"], cause, "{attempt:#}");
        }
    }

    /// Times of its parts that are told in another way of the capture.
    fn times_apart(&self) -> Vec<String> {
        let [live, replayed] = [&self.live, &self.replayed].map(|one| json!({ "attempt": one }));
        times_apart(&live, &replayed)
    }

    /// How long the parts of a kind took.
    fn took(&self, kind: &str) -> Duration {
        let parts = self.live["parts"].as_array().unwrap().iter();
        let own = parts.filter(|part| part["kind"] == kind);
        let took = own.map(|part| part["duration_ns"].as_u64().unwrap());
        Duration::from_nanos(took.sum())
    }
}

/// A KDC on the server's host that is asked at port 88, and a server that takes its tickets.
struct Domain {
    network: Network,
    kdc: Kdc,
    _peers: Vec<Peer>,
}

impl Domain {
    fn new(delay: u64, services: &[&str]) -> Self {
        let network = Network::new().unwrap();
        let (own, asked) = (format!("{SERVER_V4}:1088"), format!("{SERVER_V4}:88"));
        let delay = delay.to_string();
        let arguments = ["--listen", &asked, "--to", &own, "--delay", &delay];
        let relay = Peer::slow(&network.server, &arguments).unwrap();
        let places = (address(&own), address(&asked));
        let kdc = Kdc::start_on(&network.server, places, services).unwrap();
        let listen = format!("{SERVER_V4}:{PORT}");
        let tokens = kdc.token_file();
        let arguments = [
            "--listen",
            &listen,
            "--encrypt",
            "not-sup",
            "--auth",
            "kerberos",
        ];
        let arguments = [&arguments[..], &["--tokens-out", &tokens]].concat();
        let key = kdc.server(Key::Current);
        let server = Peer::scenario_with(Some(&network.server), &arguments, key).unwrap();
        Self {
            network,
            kdc,
            _peers: vec![relay, server],
        }
    }

    /// One login by ticket, by a client with this environment.
    fn login(&self, options: &[&str], environment: Environment) -> Seen {
        let mut login = Login::to(SERVER_V4, PORT, Encrypt::Off);
        login.by_ticket(&self.kdc);
        login.environment = environment;
        login.timeout = 40;
        let client = &self.network.client;
        // A client without a ticket has sent none.
        let tickets = || secrets::kerberos(&self.kdc.tokens().unwrap_or_default());
        let needles = || [Needle::of(PASSWORD), tickets()].concat();
        seen(&self.network, options, needles, || {
            Driver::Tsql.run(Some(client), &login).unwrap();
        })
    }
}

#[test]
fn a_ticket_that_comes_late_is_told_and_that_the_login_waited_for_it() {
    root_or_skip!("a ticket that comes late is told and that the login waited for it");
    kdc_or_skip!();
    driver_or_skip!(Driver::Tsql);
    let _alone = alone();
    let domain = Domain::new(LATE, &[SPN]);
    let waits = || {
        let seen = domain.login(&[], domain.kdc.client());
        seen.assert_parts("kdc", &[json!(["answered", null])]);
        assert!(
            seen.took("kdc") >= Duration::from_millis(LATE),
            "{:#}",
            seen.live
        );
        assert_eq!(seen.live["outcome"], "success");
        seen.assert_cause("kdc_slow");
        seen.times_apart()
    };
    assert_eq!(apart_each_time(waits), Vec::<String>::new());
    assert!(
        !domain.kdc.tokens().unwrap().is_empty(),
        "no ticket was looked for"
    );
}

#[test]
fn a_server_whose_name_the_kdc_does_not_know_is_told_and_its_name_only_if_asked_for() {
    root_or_skip!(
        "a server whose name the KDC does not know is told and its name only if asked for"
    );
    kdc_or_skip!();
    driver_or_skip!(Driver::Tsql);
    let _alone = alone();
    let domain = Domain::new(0, &["HTTP/other.lab.test"]);
    let hidden = domain.login(&[], domain.kdc.client());
    assert!(!hidden.said.contains("MSSQLSvc/"), "{}", hidden.said);
    let unknown = json!(["error", 7]);
    assert!(
        Seen::parts(&hidden.live, "kdc").contains(&unknown),
        "{:#}",
        hidden.live
    );
    assert_eq!(
        Seen::parts(&hidden.replayed, "kdc"),
        Seen::parts(&hidden.live, "kdc")
    );
    hidden.assert_cause("spn_unknown");
    assert_eq!(hidden.logins[0]["diagnosis"][0]["cause"], "spn_unknown");
    let shown = domain.login(&["--identities", "show"], domain.kdc.client());
    assert!(shown.said.contains(SPN), "{}", shown.said);
}

#[test]
fn a_clock_that_is_wrong_is_told_as_the_reason_why_there_is_no_ticket() {
    root_or_skip!("a clock that is wrong is told as the reason why there is no ticket");
    kdc_or_skip!();
    driver_or_skip!(Driver::Tsql);
    let _alone = alone();
    let domain = Domain::new(0, &[SPN]);
    let seen = domain.login(&[], domain.kdc.client_behind(3600).unwrap());
    let skewed = json!(["error", 37]);
    assert!(
        Seen::parts(&seen.live, "kdc").contains(&skewed),
        "{:#}",
        seen.live
    );
    assert!(Seen::parts(&seen.replayed, "kdc").contains(&skewed));
    seen.assert_cause("clock_skew");
}

#[test]
fn a_kdc_that_never_answers_is_told_as_one_that_cannot_be_reached() {
    root_or_skip!("a KDC that never answers is told as one that cannot be reached");
    kdc_or_skip!();
    driver_or_skip!(Driver::Tsql);
    let _alone = alone();
    let domain = Domain::new(0, &[SPN]);
    let nobody = address(&format!("{BLACK_HOLE_V4}:88"));
    let seen = domain.login(&[], domain.kdc.client_asking(nobody).unwrap());
    let unanswered = json!(["unanswered", null]);
    for attempt in [&seen.live, &seen.replayed] {
        let parts = Seen::parts(attempt, "kdc");
        let all = parts.iter().all(|part| *part == unanswered);
        assert!(all && !parts.is_empty(), "{attempt:#}");
    }
    seen.assert_cause("domain_controller_unreachable");
}

/// The client's host reaches its own endpoint on the server's.
fn machine(delay: u64) -> (Network, Vec<Peer>) {
    let network = Network::new().unwrap();
    let imds = format!("{IMDS}/32");
    let (server, client) = (&network.server, &network.client);
    server
        .ip(&["addr", "add", &imds, "dev", net::INTERFACE])
        .unwrap();
    client
        .ip(&["route", "add", &imds, "via", SERVER_V4])
        .unwrap();
    let (listen, delay) = (format!("{IMDS}:80"), delay.to_string());
    let arguments = ["--listen", &listen, "--delay", &delay, "--token", PASSWORD];
    let imds = Peer::slow(server, &arguments).unwrap();
    let listen = format!("{SERVER_V4}:{PORT}");
    let sql = Peer::scenario(Some(server), &["--listen", &listen]).unwrap();
    (network, vec![imds, sql])
}

/// Asks in turn each `ADDRESS:PORT` that it is told, and connects to the last one only.
const CLIENT: &str = "import socket, sys\n\
     *asked, server = [(a, int(p)) for a, p in (at.rsplit(':', 1) for at in sys.argv[1:])]\n\
     for at in asked:\n\
     \x20 with socket.create_connection(at, 20) as one:\n\
     \x20  one.sendall(b'GET /metadata HTTP/1.1\\r\\nMetadata: true\\r\\n\\r\\n')\n\
     \x20  while one.recv(4096): pass\n\
     socket.create_connection(server, 20).close()\n";

#[test]
fn a_machines_own_token_that_comes_late_is_told_before_the_connection() {
    root_or_skip!("a machine's own token that comes late is told before the connection");
    let _alone = alone();
    let (network, _peers) = machine(LATE);
    for options in [&[][..], &["--port", "1433"]] {
        let waits = || {
            let seen = seen(
                &network,
                options,
                || Needle::of(PASSWORD),
                || {
                    let mut client = network.client.command("python3");
                    let (imds, sql) = (format!("{IMDS}:80"), format!("{SERVER_V4}:{PORT}"));
                    run(client.args(["-c", CLIENT, &imds, &sql]), "", LIMIT).unwrap();
                },
            );
            seen.assert_parts("token", &[json!(["answered", null])]);
            let first = &seen.live["parts"][0];
            assert_eq!(
                (&first["kind"], &first["name"]),
                (&json!("token"), &json!(IMDS))
            );
            assert!(
                seen.took("token") >= Duration::from_millis(LATE),
                "{:#}",
                seen.live
            );
            seen.assert_cause("imds_slow");
            seen.times_apart()
        };
        assert_eq!(apart_each_time(waits), Vec::<String>::new());
    }
}

#[test]
fn what_processes_ask_at_the_same_time_never_mixes() {
    root_or_skip!("what processes ask at the same time never mixes");
    let _alone = alone();
    let (network, mut peers) = machine(50);
    let kdc = format!("{SERVER_V4}:88");
    peers.push(Peer::slow(&network.server, &["--listen", &kdc, "--delay", "50"]).unwrap());
    let (imds, sql) = (format!("{IMDS}:80"), format!("{SERVER_V4}:{PORT}"));
    let mut agent = Agent::start(&network.client, &[]).unwrap();
    let asked = [
        (&imds, "token"),
        (&kdc, "kdc"),
        (&imds, "token"),
        (&kdc, "kdc"),
    ];
    let started = asked.map(|(at, kind)| {
        let mut client = network.client.command("python3");
        (kind, client.args(["-c", CLIENT, at, &sql]).spawn().unwrap())
    });
    let expected = started.map(|(kind, mut child)| {
        assert!(child.wait().unwrap().success());
        (u64::from(child.id()), kind)
    });
    agent.wait_for("attempt", asked.len(), LIMIT).unwrap();
    let record = agent.stop().unwrap();
    let [logins, attempts] = ["login", "attempt"].map(|event| of(&record.events, event));
    for (pid, kind) in expected {
        let mut own = logins.iter().filter(|login| login["process"]["pid"] == pid);
        let id = &own.next().unwrap()["attempt"]["id"];
        let attempt = attempts.iter().find(|one| one["attempt"]["id"] == *id);
        let parts = attempt.unwrap()["attempt"]["parts"].as_array().unwrap();
        let kinds: Vec<_> = parts.iter().map(|part| &part["kind"]).collect();
        assert_eq!(kinds, [kind, "connect"], "{attempt:#?}");
    }
}

#[test]
fn nothing_of_other_services_is_told_where_it_is_not_wanted() {
    root_or_skip!("nothing of other services is told where it is not wanted");
    let _alone = alone();
    let (network, _peers) = machine(0);
    let mut agent = Agent::start(&network.client, &["--side-traffic", "sql"]).unwrap();
    let mut client = network.client.command("python3");
    let (imds, sql) = (format!("{IMDS}:80"), format!("{SERVER_V4}:{PORT}"));
    run(client.args(["-c", CLIENT, &imds, &sql]), "", LIMIT).unwrap();
    let attempts = agent.wait_for("attempt", 1, LIMIT).unwrap();
    assert_eq!(attempts[0]["attempt"]["parts"].as_array().unwrap().len(), 1);
    agent.stop().unwrap();
}

#[test]
fn a_host_of_revocation_lists_that_nobody_reaches_is_why_the_client_is_silent() {
    root_or_skip!("a host of revocation lists that nobody reaches is why the client is silent");
    let _alone = alone();
    let network = Network::new().unwrap();
    let resolver = std::env::temp_dir().join(format!("{}.resolv.conf", network.client.name()));
    std::fs::write(&resolver, format!("nameserver {SERVER_V4}\n")).unwrap();
    let (dns, known) = (
        format!("{SERVER_V4}:53"),
        format!("crl.lab.test={BLACK_HOLE_V4}"),
    );
    let arguments = ["dns", "--listen", &dns, "--host", &known];
    let _dns = Peer::names(&network.server, &arguments).unwrap();
    let listen = format!("{SERVER_V4}:{PORT}");
    let arguments = ["--listen", &listen, "--encrypt", "on"];
    let _sql = Peer::scenario(Some(&network.server), &arguments).unwrap();
    let seen = seen(&network, &[], Vec::new, || {
        let mut client = network.client.command("unshare");
        let bind = "mount --bind $0 /etc/resolv.conf && exec \"$@\"";
        client.args(["--mount", "sh", "-c", bind]).arg(&resolver);
        client
            .arg("python3")
            .arg(workspace().join("tests/drivers/certificate.py"));
        run(
            client.args([SERVER_V4, &PORT.to_string(), "asks", "crl.lab.test"]),
            "",
            LIMIT,
        )
        .unwrap();
    });
    std::fs::remove_file(&resolver).ok();
    seen.assert_parts("revocation", &[json!(["unanswered", null])]);
    seen.assert_cause("revocation_check_blocked");
    let evidence = &seen.live["diagnosis"][0]["evidence"];
    assert_eq!(evidence["blocked_hosts"], json!(["crl.lab.test"]));
}
