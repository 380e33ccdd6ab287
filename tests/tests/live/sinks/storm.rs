//! A storm of logins beside slow and failed ones, through every kind of receiver at once, while these are stopped, killed,
//! and answer badly: each gets every record, once or more often under the same number.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use harness::agent::{Agent, of};
use harness::bench::Crowd;
use harness::drivers::{Driver, Encrypt, Login};
use harness::peer::Peer;
use harness::process::{Running, run, until};
use harness::root::skip;
use harness::{driver_or_skip, root_or_skip};
use serde_json::Value;

use super::collector::collector_at;
use super::journal::{JOURNALD, SOCKET, journalctl, journald};
use super::otlp::receiver_at;
use super::place::{Place, lines, parse_lines};
use crate::life::{LIMIT, wait_until};

/// Logins of each storm.
const STORM: usize = 400;
/// Where they go.
const CROWD: &str = "127.0.0.1:1435";
/// Where a login takes longer than a second.
const SLOW: &str = "127.0.0.1:1436";
/// How long receivers are stopped, in seconds, where this is in the environment; as long as a storm lasts otherwise.
const STOPPED: &str = "TDS_TRACER_STOPPED";

/// How it is started.
type Start = fn(&Place, answers: &str) -> Running;

/// Who takes records, and what it answers first once it is back.
struct Kind {
    name: &'static str,
    sink: &'static str,
    start: Start,
    /// What it answers first after it was killed; `None` of one that may have taken from its kernel what it has not
    /// kept, which a kill would lose.
    answers: Option<&'static str>,
    kept: Kept,
}

/// Where its records are found.
enum Kept {
    /// It prints them.
    Printed,
    /// They are lines of a file that has its name.
    InFile,
    /// `journalctl` has them.
    InJournal,
    /// It hands them on to a strict receiver at that port.
    HandedOn(&'static str),
}

const KINDS: [Kind; 8] = [
    Kind {
        name: "http",
        sink: "kind=otlp,name=http,url=http://127.0.0.1:4318,signals=logs",
        start: |place, answers| receiver_at(place, "4318", &[answers]),
        answers: Some("503,garbage,close,429"),
        kept: Kept::Printed,
    },
    Kind {
        name: "grpc",
        sink: "kind=otlp,name=grpc,protocol=grpc,url=http://127.0.0.1:4317,signals=logs",
        start: |place, answers| receiver_at(place, "grpc:4317", &[answers]),
        answers: Some("UNAVAILABLE,RESOURCE_EXHAUSTED+retry,ABORTED"),
        kept: Kept::Printed,
    },
    Kind {
        name: "lines",
        sink: "kind=socket,name=lines,address=tcp://127.0.0.1:9000",
        start: |place, _| {
            let from = "TCP-LISTEN:9000,fork,reuseaddr,bind=127.0.0.1";
            place.takes(from, &place.folder.path("lines"))
        },
        answers: None,
        kept: Kept::InFile,
    },
    Kind {
        name: "rsyslog",
        sink: "kind=syslog,name=rsyslog,address=tcp://127.0.0.1:6514",
        start: |place, _| rsyslog(place),
        answers: None,
        kept: Kept::InFile,
    },
    Kind {
        name: "near",
        sink: "kind=socket,name=near,address=unix:FOLDER/near.sock",
        start: |place, _| {
            let from = format!("UNIX-LISTEN:{},fork", place.folder.path("near.sock"));
            let near = place.takes(&from, &place.folder.path("near"));
            wait_until("a listener", || {
                fs::exists(place.folder.path("near.sock")).unwrap()
            });
            near
        },
        answers: None,
        kept: Kept::InFile,
    },
    Kind {
        name: "journald",
        sink: "kind=journald,name=journald,path=FOLDER/SOCKET",
        start: |place, _| journald(place),
        answers: None,
        kept: Kept::InJournal,
    },
    Kind {
        name: "rotel-grpc",
        sink: "kind=otlp,name=rotel-grpc,protocol=grpc,url=http://127.0.0.1:5317,signals=logs",
        start: |place, _| collector_at(place, ["127.0.0.1:5317", "127.0.0.1:5318"], "5319"),
        answers: None,
        kept: Kept::HandedOn("5319"),
    },
    Kind {
        name: "rotel-http",
        sink: "kind=otlp,name=rotel-http,url=http://127.0.0.1:6318,signals=logs",
        start: |place, _| collector_at(place, ["127.0.0.1:6317", "127.0.0.1:6318"], "6319"),
        answers: None,
        kept: Kept::HandedOn("6319"),
    },
];

fn rsyslog(place: &Place) -> Running {
    const CONF: &str = r#"
module(load="imtcp")
input(type="imtcp" port="6514" address="127.0.0.1")
template(name="line" type="string" string="%msg%\n")
action(type="omfile" file="FOLDER/rsyslog" template="line")
"#;
    let file = |name: &str| place.folder.path(name);
    fs::write(file("conf"), CONF.replace("FOLDER", &file("."))).unwrap();
    let mut rsyslog = place.host.command("rsyslogd");
    rsyslog.args(["-n", "-f", &file("conf"), "-i", &file("pid")]);
    Running::start(&mut rsyslog).unwrap()
}

/// A receiver that runs, and what those before it have taken.
struct Receiver<'a> {
    kind: &'a Kind,
    running: Option<Running>,
    before: Vec<String>,
    /// To whom it hands on.
    behind: Option<Running>,
}

impl<'a> Receiver<'a> {
    fn start(kind: &'a Kind, place: &Place) -> Self {
        let behind = match kind.kept {
            Kept::HandedOn(port) => Some(receiver_at(place, port, &[""])),
            _ => None,
        };
        Self {
            kind,
            running: Some((kind.start)(place, "")),
            before: Vec::new(),
            behind,
        }
    }

    fn signal(&self, signal: &str) {
        self.running.as_ref().unwrap().signal(signal).unwrap();
    }

    /// It is killed, and another one is in its place.
    fn is_replaced(&mut self, place: &Place, answers: &str) {
        let killed = self.running.take().unwrap();
        killed.signal("KILL").unwrap();
        let ended = killed.end(LIMIT).unwrap();
        self.before.extend(ended.lines);
        self.running = Some((self.kind.start)(place, answers));
    }

    /// The events that arrived, by the numbers of their lines.
    fn arrived(&mut self, place: &Place) -> BTreeMap<u64, String> {
        let lines = match self.kind.kept {
            Kept::InFile => Some(lines(&place.folder.path(self.kind.name))),
            Kept::InJournal => Some(parse_lines(&journalctl(place, &["--output=cat"]))),
            Kept::Printed | Kept::HandedOn(_) => None,
        };
        if let Some(lines) = lines {
            let told = lines.iter().filter_map(|line| {
                let event = line["event"].as_str()?;
                Some((line["line"].as_u64()?, event.to_owned()))
            });
            return told.collect();
        }
        let running = self.behind.as_mut().or(self.running.as_mut()).unwrap();
        let lines = self.before.iter().chain(running.lines());
        // One that is killed may have printed half a line.
        let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let told = lines.filter_map(|line| {
            let event = line["log"].as_str()?.strip_prefix("tds_tracer.")?;
            let number = line["attributes"]["tds_tracer.line"].as_u64()?;
            Some((number, event.to_owned()))
        });
        told.collect()
    }
}

/// So many of an event.
fn count<'a>(events: impl Iterator<Item = &'a String>, name: &str) -> usize {
    events.filter(|event| *event == name).count()
}

/// Logs in as many times at once as a storm has, and waits until all of that is told.
fn storm(place: &Place, agent: &mut Agent, closes: &mut usize) {
    let words = ["connect", CROWD, &STORM.to_string(), "--say", "login"];
    let mut crowd = Crowd::start(&place.host, &words).unwrap();
    crowd.figures(["in"]).unwrap();
    crowd.release().unwrap();
    *closes += STORM;
    let told = agent.wait(LIMIT, |events| of(events, "close").len() >= *closes);
    assert!(told.unwrap(), "a storm is told");
}

/// One login that goes well, one that is refused, and one that is slow; at the end all of them are told.
fn single_ones(place: &Place, agent: &mut Agent, closes: &mut usize) {
    place.log_in();
    let login = Login::to("127.0.0.1", 1436, Encrypt::Off);
    let fared = Driver::Tsql.run(Some(&place.host), &login).unwrap();
    assert!(fared.ok, "{}", fared.output);
    // The driver's version of it may take more than one connection.
    agent.wait_for("close", *closes + 3, LIMIT).unwrap();
    *closes = of(&agent.events().unwrap(), "close").len();
}

#[test]
fn every_receiver_gets_each_record_of_a_storm_though_it_is_stopped_killed_and_answers_badly() {
    root_or_skip!("every receiver gets each record of a storm");
    driver_or_skip!(Driver::Tsql);
    if !fs::exists(JOURNALD).unwrap() {
        skip(JOURNALD, "every receiver gets each record of a storm");
        return;
    }
    let place = Place::new("storm");
    let _slow = Peer::scenario(
        Some(&place.host),
        &["--listen", SLOW, "--delay-at", "login=1100"],
    )
    .unwrap();
    let _crowd = Crowd::serve(&place.host, &[CROWD, "--say", "login"]).unwrap();
    let mut receivers: Vec<_> = KINDS
        .iter()
        .map(|kind| Receiver::start(kind, &place))
        .collect();
    let sinks = KINDS.map(|kind| {
        let sink = kind.sink.replace("SOCKET", SOCKET);
        sink.replace("FOLDER", &place.folder.path(""))
    });
    let sinks: Vec<_> = sinks.iter().map(String::as_str).collect();
    let metrics = ["--metrics", "127.0.0.1:9433"];
    let mut agent = place.agent_at("1433-1436", &sinks, &metrics);
    let mut closes = 0;
    single_ones(&place, &mut agent, &mut closes);

    for receiver in &receivers {
        receiver.signal("STOP");
    }
    storm(&place, &mut agent, &mut closes);
    if let Ok(seconds) = std::env::var(STOPPED) {
        std::thread::sleep(Duration::from_secs(seconds.parse().unwrap()));
    }
    for receiver in &mut receivers {
        match receiver.kind.answers {
            // It is killed while it is stopped, with what it was sent and has not read.
            Some(answers) => receiver.is_replaced(&place, answers),
            None => receiver.signal("CONT"),
        }
    }
    storm(&place, &mut agent, &mut closes);
    for receiver in &mut receivers {
        let name = receiver.kind.name;
        let all = until(LIMIT, || {
            count(receiver.arrived(&place).values(), "close") >= closes
        });
        let arrived = receiver.arrived(&place);
        let errors = receiver.running.as_ref().unwrap().errors();
        all.unwrap_or_else(|_| {
            panic!(
                "{name}: {} of {closes} {errors}",
                count(arrived.values(), "close")
            )
        });
    }
    let mut curl = place.host.command("curl");
    curl.args(["-s", "http://127.0.0.1:9433/metrics"]);
    let (_, metrics) = run(&mut curl, "", LIMIT).unwrap();
    let record = agent.stop().unwrap();
    assert!(record.success, "{}", record.log);
    for event in ["login", "close", "attempt"] {
        let told = of(&record.events, event).len();
        for receiver in &mut receivers {
            let arrived = receiver.arrived(&place);
            let name = receiver.kind.name;
            assert_eq!(count(arrived.values(), event), told, "{name}: {event}");
        }
    }
    for receiver in &mut receivers {
        let name = receiver.kind.name;
        let numbers: BTreeSet<_> = receiver.arrived(&place).into_keys().collect();
        let last = numbers.last().copied().unwrap_or_default();
        assert_eq!(numbers.len() as u64, last, "{name}: none is missing");
        let running = receiver.running.take().unwrap();
        assert_eq!(running.errors(), "", "{name}");
    }
    // Whoever asks, as Prometheus does, finds all of them.
    let counted = metrics
        .lines()
        .filter(|line| line.starts_with("tds_closes_total{"));
    let counted = counted.filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok());
    assert_eq!(counted.sum::<usize>(), closes);
    let took = |login: &Value| login["login"]["duration_ns"].as_u64() > Some(1_100_000_000);
    assert!(of(&record.events, "login").iter().any(took), "one is slow");
}
