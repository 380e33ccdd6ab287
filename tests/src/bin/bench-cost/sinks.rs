//! What each kind of sink takes of a processor: for a login, and for what has waited in a spool. Whoever takes it is
//! another process, whose time is not counted.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use harness::bench::{Crowd, Watching, median};
use harness::net::Namespace;
use harness::process::Running;

use crate::ADDRESS;

const TRIALS: usize = 3;
/// Logins of a trial, and how many of them a second.
const LOGINS: usize = 3_000;
const RATE: &str = "1000";
/// Logins that wait in a spool.
const WAITING: usize = 20_000;
/// In which what is due has been told.
const REST: Duration = Duration::from_secs(2);
/// What is written to last stays, whatever of it is taken.
const NEWEST: u64 = 5 << 20;
const LIMIT: Duration = Duration::from_mins(3);

/// Takes what comes there, and throws it away.
const TAKES: &[&str] = &[
    "socat",
    "-u",
    "TCP-LISTEN:9000,fork,reuseaddr,bind=127.0.0.1",
    "OPEN:/dev/null",
];
/// The same by datagrams.
const TAKES_DATAGRAMS: &[&str] = &[
    "socat",
    "-u",
    "UDP-RECV:9001,bind=127.0.0.1",
    "OPEN:/dev/null",
];
/// Says that it has taken whatever is sent by OTLP.
const ANSWERS: &[&str] = &["python3", "-c", ANSWERER];
const ANSWERER: &str = "
import http.server
class Taker(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *_):
        pass
    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(200)
        self.send_header('Content-Type', 'application/x-protobuf')
        self.send_header('Content-Length', '0')
        self.end_headers()
http.server.ThreadingHTTPServer(('127.0.0.1', 9002), Taker).serve_forever()
";

struct Kind {
    name: &'static str,
    sink: Option<&'static str>,
    taker: &'static [&'static str],
}

const KINDS: [Kind; 8] = [
    Kind {
        name: "the file of --output alone",
        sink: None,
        taker: &[],
    },
    Kind {
        name: "and another file",
        sink: Some("kind=file,path=/dev/null"),
        taker: &[],
    },
    Kind {
        name: "and lines by TCP",
        sink: Some("kind=socket,address=tcp://127.0.0.1:9000"),
        taker: TAKES,
    },
    Kind {
        name: "and syslog by TCP",
        sink: Some("kind=syslog,address=tcp://127.0.0.1:9000"),
        taker: TAKES,
    },
    Kind {
        name: "and syslog by UDP",
        sink: Some("kind=syslog,address=udp://127.0.0.1:9001"),
        taker: TAKES_DATAGRAMS,
    },
    Kind {
        name: "and OTLP, log records",
        sink: Some("kind=otlp,url=http://127.0.0.1:9002,signals=logs"),
        taker: ANSWERS,
    },
    Kind {
        name: "and OTLP, log records and spans",
        sink: Some("kind=otlp,url=http://127.0.0.1:9002,signals=logs,traces"),
        taker: ANSWERS,
    },
    Kind {
        name: "and OTLP, metrics alone",
        sink: Some("kind=otlp,url=http://127.0.0.1:9002,signals=metrics,interval=1s,events=agent"),
        taker: ANSWERS,
    },
];

pub(crate) fn measure() -> Result<()> {
    println!(
        "processor time of the agent for 1,000 logins, at {RATE} a second, medians of {TRIALS} trials:"
    );
    let mut trials = vec![Vec::new(); KINDS.len()];
    for _ in 0..TRIALS {
        for (kind, trials) in KINDS.iter().zip(&mut trials) {
            match of_login(kind) {
                Ok(figure) => trials.push(figure),
                Err(error) => println!("  {}: {error:#}", kind.name),
            }
        }
    }
    ensure!(
        trials.iter().any(|trials| !trials.is_empty()),
        "no sink could be measured"
    );
    for (kind, trials) in KINDS
        .iter()
        .zip(&trials)
        .filter(|(_, trials)| !trials.is_empty())
    {
        println!("  {}: {:.1} ms; {trials:.1?}", kind.name, median(trials));
    }
    println!("what {WAITING} logins left in a spool, once there is somebody to take it:");
    for kind in KINDS
        .iter()
        .filter(|kind| kind.name.contains("TCP") || kind.name.contains("OTLP, log"))
    {
        match of_spool(kind) {
            Ok(said) => println!("  {}: {said}", kind.name),
            Err(error) => println!("  {}: {error:#}", kind.name),
        }
    }
    Ok(())
}

/// A host, an agent with this sink, and its state.
struct Place {
    host: Namespace,
    agent: Watching,
    state: std::path::PathBuf,
}

impl Place {
    fn new(kind: &Kind, events: &str) -> Result<Self> {
        let host = Namespace::new("sink")?;
        let state = std::env::temp_dir().join(format!("bench-sinks-{}", std::process::id()));
        fs::create_dir_all(&state)?;
        let folder = state.display().to_string();
        let mut options = vec!["--state", &folder, "--events", events];
        options.extend(kind.sink.iter().flat_map(|sink| ["--sink", sink]));
        let agent = Watching::start(&host, &options)?;
        Ok(Self { host, agent, state })
    }

    /// Whoever takes what the sink sends.
    fn taker(&self, kind: &Kind) -> Result<Option<Running>> {
        let Some((program, arguments)) = kind.taker.split_first() else {
            return Ok(None);
        };
        Running::start(self.host.command(program).args(arguments)).map(Some)
    }

    fn log_in(&self, count: usize, rate: &[&str]) -> Result<()> {
        let count = count.to_string();
        let fixed = ["connect", ADDRESS, &count, "--say", "login"];
        let mut client = Crowd::start(&self.host, &[&fixed[..], rate].concat())?;
        client.figures(["in"])?;
        client.release()
    }

    /// Bytes that lie in its spools.
    fn spooled(&self) -> u64 {
        let sinks = fs::read_dir(self.state.join("spool"))
            .into_iter()
            .flatten()
            .flatten();
        let files =
            sinks.flat_map(|sink| fs::read_dir(sink.path()).into_iter().flatten().flatten());
        files
            .filter_map(|file| Some(file.metadata().ok()?.len()))
            .sum()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.state).ok();
    }
}

/// Milliseconds for 1,000 logins.
fn of_login(kind: &Kind) -> Result<f64> {
    let place = Place::new(kind, "login,close,attempt,incident,loss,agent")?;
    let _taker = place.taker(kind)?;
    let _server = Crowd::serve(&place.host, &[ADDRESS, "--say", "login"])?;
    place.log_in(100, &[])?;
    sleep(REST);
    let begun = place.agent.processor()?;
    place.log_in(LOGINS, &["--rate", RATE])?;
    sleep(REST);
    let took = place.agent.processor()?.saturating_sub(begun);
    Ok(took.as_secs_f64() * 1e6 / LOGINS as f64)
}

/// How fast it goes, in logins of one record each.
fn of_spool(kind: &Kind) -> Result<String> {
    let place = Place::new(kind, "login,loss,agent")?;
    let _server = Crowd::serve(&place.host, &[ADDRESS, "--say", "login"])?;
    place.log_in(WAITING, &["--rate", "4000"])?;
    sleep(REST);
    let waiting = place.spooled();
    let begun = place.agent.processor()?;
    let since = Instant::now();
    let _taker = place.taker(kind)?;
    while place.spooled() > NEWEST {
        ensure!(
            since.elapsed() < LIMIT,
            "{} bytes are left",
            place.spooled()
        );
        sleep(Duration::from_millis(20));
    }
    let taken = waiting.saturating_sub(place.spooled()) as f64 / waiting as f64;
    let took = place.agent.processor()?.saturating_sub(begun).as_secs_f64();
    Ok(format!(
        "{:.0} logins for a second of a processor, {:.1} MB in all",
        WAITING as f64 * taken / took,
        waiting as f64 / 1e6
    ))
}
