//! What each kind of sink takes of a processor for a login, in a whole agent. Whoever takes it is another process, whose
//! time is not counted.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::bench::{Crowd, Watching, median};
use harness::net::Namespace;
use harness::process::Running;

use crate::takers::Taker;

/// Where the server listens.
const ADDRESS: &str = "127.0.0.1:1433";
const TRIALS: usize = 3;
/// Logins of a trial, and how many of them a second.
const LOGINS: usize = 3_000;
const RATE: &str = "1000";
/// In which what is due has been told.
const REST: Duration = Duration::from_secs(2);

struct Kind {
    name: &'static str,
    sink: Option<&'static str>,
    taker: Taker,
}

const KINDS: [Kind; 8] = [
    Kind {
        name: "the file of --output alone",
        sink: None,
        taker: Taker::Nobody,
    },
    Kind {
        name: "and another file",
        sink: Some("kind=file,path=/dev/null"),
        taker: Taker::Nobody,
    },
    Kind {
        name: "and lines by TCP",
        sink: Some("kind=socket,address=tcp://127.0.0.1:9000"),
        taker: Taker::Tcp,
    },
    Kind {
        name: "and syslog by TCP",
        sink: Some("kind=syslog,address=tcp://127.0.0.1:9000"),
        taker: Taker::Tcp,
    },
    Kind {
        name: "and syslog by UDP",
        sink: Some("kind=syslog,address=udp://127.0.0.1:9001"),
        taker: Taker::Udp,
    },
    Kind {
        name: "and OTLP, log records",
        sink: Some("kind=otlp,url=http://127.0.0.1:9000,signals=logs"),
        taker: Taker::Otlp,
    },
    Kind {
        name: "and OTLP, log records and spans",
        sink: Some("kind=otlp,url=http://127.0.0.1:9000,signals=logs,traces"),
        taker: Taker::Otlp,
    },
    Kind {
        name: "and OTLP, metrics alone",
        sink: Some("kind=otlp,url=http://127.0.0.1:9000,signals=metrics,interval=1s,events=agent"),
        taker: Taker::Otlp,
    },
];

pub(crate) fn measure(only: &str) -> Result<()> {
    println!(
        "processor time of the agent for 1,000 logins, at {RATE} a second, medians of {TRIALS} trials:"
    );
    let mut trials = vec![Vec::new(); KINDS.len()];
    for _ in 0..TRIALS {
        for (kind, trials) in KINDS
            .iter()
            .zip(&mut trials)
            .filter(|(kind, _)| kind.name.contains(only))
        {
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
        let port = if kind.taker == Taker::Udp { 9001 } else { 9000 };
        let words = kind.taker.command(port);
        let Some((program, arguments)) = words.split_first() else {
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
