//! What no sink may get: looked for in all that each is sent, in what waits on disk for it, and in the agent's memory.

use std::fs;
use std::path::Path;

use harness::agent::{Agent, of};
use harness::capture::{Capture, available};
use harness::drivers::{Driver, Encrypt, Login, PASSWORD, python};
use harness::net::Namespace;
use harness::peer::{Peer, workspace};
use harness::process::{Running, run};
use harness::root::skip;
use harness::secrets::{self, Needle};
use harness::{driver_or_skip, root_or_skip};

use super::place::Folder;
use crate::life::{LIMIT, wait_until};

/// Where NTLM is spoken: its challenges and responses are told apart by the port.
const NTLM: u16 = 1433;
/// How a client proves who it is, to which server: everything in clear.
const LOGINS: [(Driver, u16, &str, &str); 3] = [
    (Driver::PythonTds, NTLM, "ntlm", "ntlm"),
    (Driver::PythonTds, 1434, "sql", ""),
    (Driver::MssqlTds, 1435, "fedauth", "token"),
];
/// Sinks across the network; what each sends of a login has this in it. Nobody answers gRPC here, so that it sends what was
/// told first again and again.
const ACROSS: [(&str, &str, &str); 4] = [
    ("lines", "kind=socket,address=tcp://127.0.0.1:9000", LINE),
    ("syslog", "kind=syslog,address=tcp://127.0.0.1:9001", LINE),
    (
        "datagrams",
        "kind=syslog,address=udp://127.0.0.1:9002",
        LINE,
    ),
    (
        "grpc",
        "kind=otlp,protocol=grpc,url=http://127.0.0.1:9003,signals=logs,gzip=off,events=login",
        "tds_tracer.login",
    ),
];
/// All signals of OTLP, to somebody who answers.
const OTLP: &str = "kind=otlp,url=http://127.0.0.1:4318,gzip=off,interval=1s";
const LINE: &str = "\"event\":\"login\"";

/// Whoever takes what comes from there, and keeps each byte of it.
fn keeps(host: &Namespace, from: &str, file: &str) -> Running {
    let mut socat = host.command("socat");
    socat.args(["-u", from, &format!("OPEN:{file},creat,append")]);
    Running::start(&mut socat).unwrap()
}

/// All that lies in a folder and below.
fn contents(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            bytes.extend(contents(&path));
        } else {
            bytes.extend(fs::read(path).unwrap_or_default());
        }
    }
    bytes
}

fn has(bytes: &[u8], text: &str) -> bool {
    !secrets::found(&[Needle::plain(text)], bytes).is_empty()
}

/// Logs in by each way, with the secrets on the wire: what is to be found nowhere else.
fn log_in(host: &Namespace) -> Vec<Needle> {
    let capture = Capture::start_whole(host, "lo", NTLM).unwrap();
    for (driver, port, asked, auth) in LOGINS {
        let listen = format!("127.0.0.1:{port}");
        let arguments = ["--listen", &listen, "--encrypt", "not-sup", "--auth", asked];
        let _server = Peer::scenario(Some(host), &arguments).unwrap();
        let mut login = Login::to("127.0.0.1", port, Encrypt::Off);
        if !auth.is_empty() {
            login.auth = auth;
        }
        if auth == "ntlm" {
            r"LAB\alice".clone_into(&mut login.user);
        }
        let fared = driver.run(Some(host), &login).unwrap();
        assert!(fared.ok, "{asked}: {}", fared.output);
    }
    let captured = capture.stop().unwrap();
    let wire = fs::read(captured.file()).unwrap();
    let passwords = Needle::of(PASSWORD);
    let sent = secrets::found(&passwords, &wire);
    assert!(
        sent.contains(&"UTF-16") && sent.contains(&"as in LOGIN7"),
        "{sent:?}"
    );
    let ntlm = secrets::ntlm(&captured.segments().unwrap());
    assert_eq!(ntlm.len(), 2, "a challenge and a response");
    [passwords, ntlm].concat()
}

/// From now on somebody takes what crosses the network.
fn take_all(host: &Namespace, folder: &Folder) -> Vec<Running> {
    let mut keepers = Vec::new();
    for (port, (name, ..)) in (9000..).zip(ACROSS) {
        let from = match name {
            "datagrams" => format!("UDP-RECV:{port},bind=127.0.0.1"),
            _ => format!("TCP-LISTEN:{port},fork,reuseaddr,bind=127.0.0.1"),
        };
        keepers.push(keeps(host, &from, &folder.path(&format!("kept-{name}"))));
    }
    let mut otlp = host.command(python());
    otlp.arg(workspace().join("tests/drivers/otlp.py"));
    let otlp = otlp
        .args(["4318", ""])
        .env("KEEP", folder.path("kept-otlp"));
    keepers.push(Running::start(otlp).unwrap());
    keepers
}

#[test]
fn no_sink_gets_a_password_a_response_of_ntlm_or_a_token_nor_does_its_spool() {
    const PROMISE: &str =
        "no sink gets a password, a response of NTLM or a token, nor does its spool";
    root_or_skip!(PROMISE);
    driver_or_skip!(Driver::PythonTds);
    driver_or_skip!(Driver::MssqlTds);
    if !available() {
        skip("tcpdump or tshark", PROMISE);
        return;
    }
    let host = Namespace::new("l").unwrap();
    let folder = Folder::new("leaks");
    let near = [
        ("journal", "kind=journald,path", "TDS_EVENT=login"),
        ("near", "kind=syslog,name=near,address=unix", LINE),
    ];
    let mut keepers = Vec::new();
    let mut sinks = vec![
        "kind=stdout".to_owned(),
        format!("kind=file,path={}", folder.path("kept-lines")),
    ];
    for (name, sink, _) in near {
        let socket = folder.path(&format!("{name}.sock"));
        let from = format!("UNIX-RECV:{socket},mode=666");
        keepers.push(keeps(&host, &from, &folder.path(&format!("kept-{name}"))));
        wait_until("a listener", || fs::exists(&socket).unwrap());
        let separator = if name == "journal" { "=" } else { ":" };
        sinks.push(format!("{sink}{separator}{socket}"));
    }
    sinks.push(OTLP.to_owned());
    sinks.extend(ACROSS.map(|(name, sink, _)| format!("{sink},name={name}")));
    let state = folder.path("state");
    let mut options = vec![
        "--port",
        "1433-1435",
        "--identities",
        "show",
        "--state",
        &state,
    ];
    options.extend(["--metrics", "127.0.0.1:9433"]);
    for sink in &sinks {
        options.extend(["--sink", sink]);
    }
    let mut agent = Agent::start(&host, &options).unwrap();
    let needles = log_in(&host);
    let closes = agent.wait_for("attempt", LOGINS.len(), LIMIT).unwrap();
    assert_eq!(closes.len(), LOGINS.len());
    // Nobody takes what crosses the network yet.
    let spool = folder.0.join("state/spool");
    wait_until("the spools", || {
        let told = |name| contents(&spool.join(name));
        let attempts = ["lines", "otlp"].map(|name| has(&told(name), "\"event\":\"attempt\""));
        attempts == [true; 2] && has(&told("grpc"), LINE)
    });
    let clean = |what: &str, bytes: &[u8]| {
        assert_eq!(
            secrets::found(&needles, bytes),
            Vec::<&str>::new(),
            "{what}"
        );
    };
    clean("the spools", &contents(&spool));
    keepers.extend(take_all(&host, &folder));
    let told = near
        .map(|(name, _, told)| (name, told))
        .into_iter()
        .chain(ACROSS.map(|(name, _, told)| (name, told)))
        // By datagrams nobody heard of the logins at that time.
        .filter(|(name, _)| *name != "datagrams");
    for (name, told) in told.chain([
        ("otlp", "tds_tracer.login"),
        ("otlp", "SQL connection"),
        ("otlp", "tds.login.duration"),
    ]) {
        let file = folder.path(&format!("kept-{name}"));
        wait_until(name, || has(&fs::read(&file).unwrap_or_default(), told));
    }
    let mut curl = host.command("curl");
    let (_, metrics) = run(
        curl.args(["-s", "http://127.0.0.1:9433/metrics"]),
        "",
        LIMIT,
    )
    .unwrap();
    assert!(has(metrics.as_bytes(), "tds_logins_total{"));
    clean("metrics", metrics.as_bytes());
    secrets::assert_not_in_memory(agent.pid(), &needles);
    let record = agent.stop().unwrap();
    let said = format!("{:?} {}", record.events, record.log);
    assert_eq!(of(&record.events, "login").len(), LOGINS.len());
    clean("standard output and the log", said.as_bytes());
    drop(keepers);
    for entry in fs::read_dir(&folder.0).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("kept-") {
            clean(&name, &fs::read(entry.path()).unwrap());
        }
    }
}
