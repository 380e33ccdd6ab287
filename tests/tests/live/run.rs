//! One observed connection: hosts, server, capture, agent and client.

use std::fs::File;
use std::time::Duration;

use harness::agent::{AT_INTERFACES, Agent, Record, of};
use harness::agree::{asked, disagreements};
use harness::capture::{Capture, Captured, Segment};
use harness::drivers::{Driver, Encrypt, Fared, Login, PASSWORD};
use harness::kdc::{Kdc, Key};
use harness::net::{self, Namespace, Network};
use harness::peer::{Peer, program};
use harness::process::run;
use harness::secrets::{self, Needle};
use serde_json::Value;

pub(crate) const PORT: u16 = 1433;

/// From where the connection is seen, and which way it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// Over the cable, seen by the client's host, by IPv4.
    Client,
    /// The same by IPv6.
    ClientV6,
    /// Over the cable, seen by the server's host.
    Server,
    /// The same by IPv6.
    ServerV6,
    /// Inside one host.
    Loopback,
    /// The same by IPv6.
    LoopbackV6,
}

impl Path {
    pub(crate) fn address(self) -> &'static str {
        match self {
            Self::Client | Self::Server => net::SERVER_V4,
            Self::ClientV6 | Self::ServerV6 => net::SERVER_V6,
            Self::Loopback => "127.0.0.1",
            Self::LoopbackV6 => "::1",
        }
    }

    fn listen(self) -> String {
        let address = self.address();
        if address.contains(':') {
            format!("[{address}]:{PORT}")
        } else {
            format!("{address}:{PORT}")
        }
    }

    fn server(self, network: &Network) -> &Namespace {
        match self {
            Self::Loopback | Self::LoopbackV6 => &network.client,
            _ => &network.server,
        }
    }

    /// Options of the agent. Each source of packets has half of the paths.
    fn source(self) -> &'static [&'static str] {
        match self {
            Self::Client | Self::ServerV6 | Self::Loopback => &[],
            Self::ClientV6 | Self::Server | Self::LoopbackV6 => &AT_INTERFACES,
        }
    }

    fn observer(self, network: &Network) -> (&Namespace, &'static str) {
        match self {
            Self::Client | Self::ClientV6 => (&network.client, net::INTERFACE),
            Self::Server | Self::ServerV6 => (&network.server, net::INTERFACE),
            Self::Loopback | Self::LoopbackV6 => (&network.client, "lo"),
        }
    }
}

/// The server of a run.
pub(crate) enum Server<'a> {
    /// The scenario server with these arguments.
    Scenario(&'a [&'a str]),
    /// The scenario server with these arguments, which takes the KDC's tickets by this key.
    Kerberos(&'a Kdc, Key, &'a [&'a str]),
    /// Microsoft's mock server with these arguments.
    Mock(&'a [&'a str]),
    /// None at all.
    Absent,
}

impl Server<'_> {
    fn start(&self, host: &Namespace, listen: &str) -> Option<Peer> {
        let listen = ["--listen", listen];
        let peer = match self {
            Self::Scenario(arguments) => {
                Peer::scenario(Some(host), &[&listen, *arguments].concat())
            }
            Self::Kerberos(kdc, key, arguments) => {
                let file = kdc.token_file();
                let auth = ["--auth", "kerberos", "--tokens-out", &file];
                let arguments = [&listen, &auth[..], arguments].concat();
                Peer::scenario_with(Some(host), &arguments, kdc.server(*key))
            }
            Self::Mock(arguments) => Peer::mock(Some(host), &[&listen, *arguments].concat()),
            Self::Absent => return None,
        };
        Some(peer.unwrap())
    }

    /// What an agent must never keep of the tickets it saw.
    fn tickets(&self) -> Vec<Needle> {
        let Self::Kerberos(kdc, ..) = self else {
            return Vec::new();
        };
        let needles = secrets::kerberos(&kdc.tokens().unwrap());
        assert!(!needles.is_empty(), "no ticket to look for");
        needles
    }
}

/// What came of one connection.
pub(crate) struct Run {
    pub(crate) login: Value,
    pub(crate) close: Value,
    pub(crate) events: Vec<Value>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) fared: Fared,
    pub(crate) path: Path,
}

impl Run {
    /// The one connection that was told.
    fn new(path: Path, (record, (segments, fared)): (Record, Seen)) -> Self {
        let (logins, closes) = (of(&record.events, "login"), of(&record.events, "close"));
        assert_eq!(
            (logins.len(), closes.len()),
            (1, 1),
            "{:#?}\n{}\nclient: {}",
            record.events,
            record.log,
            fared.output
        );
        Self {
            login: logins[0].clone(),
            close: closes[0].clone(),
            events: record.events,
            segments,
            fared,
            path,
        }
    }
}

/// The two hosts, and from where the connection between them is seen.
pub(crate) struct Place<'a> {
    pub(crate) network: &'a Network,
    pub(crate) observer: &'a Namespace,
    /// Where it is captured, one of those that the agent watches.
    pub(crate) interface: &'a str,
    /// Whether its packets have what no filter of a capture sees through.
    pub(crate) veiled: bool,
}

/// Observes one connection that `client` makes from the client's host, by an agent with these
/// options.
pub(crate) fn observe(
    path: Path,
    server: &Server<'_>,
    options: &[&str],
    limit: Duration,
    client: impl Fn(&Namespace) -> Fared,
) -> Run {
    let _alone = alone();
    let told = agreeing(options, || {
        let network = Network::new().unwrap();
        let (observer, interface) = path.observer(&network);
        let place = Place {
            network: &network,
            observer,
            interface,
            veiled: false,
        };
        watch(path, &place, server, options, limit, &client)
    });
    Run::new(path, told)
}

/// The same at the interfaces of a place that is made already, by a test that is alone.
pub(crate) fn observe_at(
    path: Path,
    place: &Place<'_>,
    server: &Server<'_>,
    limit: Duration,
    client: impl Fn(&Namespace) -> Fared,
) -> Run {
    let told = agreeing(&[], || {
        watch(path, place, server, &AT_INTERFACES, limit, &client)
    });
    Run::new(path, told)
}

/// What came of a connection, and how its client fared.
type Seen = (Vec<Segment>, Fared);

/// Watches one connection, and captures it.
fn watch(
    path: Path,
    place: &Place<'_>,
    server: &Server<'_>,
    options: &[&str],
    limit: Duration,
    client: impl Fn(&Namespace) -> Fared,
) -> (Record, Captured, Seen) {
    let (network, observer) = (place.network, place.observer);
    let _peer = server.start(path.server(network), &path.listen());
    let port = PORT.to_string();
    let chosen = options.contains(&"--source");
    let source = if chosen { &[] } else { path.source() };
    let arguments = [&["--port", &port][..], asked(options), source, options].concat();
    let mut agent = Agent::start(observer, &arguments).unwrap();
    let capture = if place.veiled {
        Capture::start_whole(observer, place.interface, PORT)
    } else {
        Capture::start(observer, place.interface, PORT)
    };
    let capture = capture.unwrap();
    let fared = client(&network.client);
    agent.wait_for("login", 1, limit).unwrap();
    agent.wait_for("close", 1, limit).unwrap();
    let captured = capture.stop().unwrap();
    let segments = captured.segments().unwrap();
    let record = stop_without_secrets(agent, server, &segments);
    (record, captured, (segments, fared))
}

/// Observes until what the agent says and what replay says of the capture are the same. Times that
/// lie apart are looked at again: the processor may have been taken away between two hooks, but not
/// every time.
pub(crate) fn agreeing<T>(
    options: &[&str],
    observe: impl Fn() -> (Record, Captured, T),
) -> (Record, T) {
    let mut left = 3;
    loop {
        let (record, captured, rest) = observe();
        let differences = disagreements(&record.events, captured.file(), PORT, options).unwrap();
        left -= 1;
        let again = left > 0 && differences.iter().all(|difference| difference.is_time);
        if differences.is_empty() {
            return (record, rest);
        }
        let rows: Vec<_> = differences.into_iter().map(|one| one.row).collect();
        assert!(
            again,
            "what the agent said and what it says of the capture, {}:\n{}\n{:#?}",
            captured.keep().unwrap().display(),
            rows.join("\n"),
            record.events,
        );
        println!("once more, for times that lie apart: {}", rows.join(", "));
    }
}

/// Stops an agent that has kept no secret of what it saw, and has told none.
fn stop_without_secrets(agent: Agent, server: &Server<'_>, segments: &[Segment]) -> Record {
    let needles = [
        Needle::of(PASSWORD),
        secrets::ntlm(segments),
        server.tickets(),
    ]
    .concat();
    secrets::assert_not_in_memory(agent.pid(), &needles);
    let record = agent.stop().unwrap();
    let said = format!("{:?} {}", record.events, record.log);
    assert_eq!(
        secrets::found(&needles, said.as_bytes()),
        Vec::<&str>::new(),
        "{said}"
    );
    assert!(
        record.success,
        "the agent does not end with success: {}",
        record.log
    );
    record
}

/// Observes one login by a driver.
pub(crate) fn observe_driver(
    path: Path,
    server: &Server<'_>,
    driver: Driver,
    encrypt: Encrypt,
    prepare: impl FnOnce(&mut Login),
) -> Run {
    observe_driver_with(path, server, &[], driver, encrypt, prepare)
}

/// The same by an agent with these options.
pub(crate) fn observe_driver_with(
    path: Path,
    server: &Server<'_>,
    options: &[&str],
    driver: Driver,
    encrypt: Encrypt,
    prepare: impl FnOnce(&mut Login),
) -> Run {
    let mut login = Login::to(path.address(), PORT, encrypt);
    prepare(&mut login);
    let run = observe(path, server, options, Duration::from_secs(30), |host| {
        driver.run(Some(host), &login).unwrap()
    });
    if path != Path::Server {
        run.assert_eq("/process/name", driver.process_name());
    }
    run
}

/// Observes a connection by a client that speaks no SQL.
pub(crate) fn observe_raw(
    path: Path,
    server: &Server<'_>,
    limit: Duration,
    arguments: &[&str],
) -> Run {
    observe_raw_to(path, server, limit, &path.listen(), arguments)
}

/// The same, to another address.
pub(crate) fn observe_raw_to(
    path: Path,
    server: &Server<'_>,
    limit: Duration,
    address: &str,
    arguments: &[&str],
) -> Run {
    let run = observe(path, server, &[], limit, |host| {
        let mut command = host.command(program("raw-client").unwrap());
        let (status, output) = run(
            command.arg(address).args(arguments),
            "",
            Duration::from_secs(40),
        )
        .unwrap();
        Fared {
            ok: status.success(),
            output,
        }
    });
    run.assert_eq("/process/name", "raw-client");
    run
}

/// Keeps other tests, also those of other processes, from the processor while
/// times are compared.
pub(crate) fn alone() -> File {
    let lock = File::create(std::env::temp_dir().join("tds-tracer-live.lock")).unwrap();
    lock.lock().unwrap();
    lock
}
