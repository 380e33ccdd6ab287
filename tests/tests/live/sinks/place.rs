//! A host whose logins are told to sinks, and what these got.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use harness::agent::{Agent, of};
use harness::drivers::{Driver, Encrypt, Login};
use harness::net::Namespace;
use harness::peer::{Peer, program};
use harness::process::{Running, run};
use serde_json::Value;

use crate::life::{ADDRESS, LIMIT};

/// A directory of this test's own, gone with it.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tdst-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A host with a server, whose logins are watched.
pub(super) struct Place {
    pub(super) host: Namespace,
    pub(super) folder: Folder,
    _server: Peer,
}

impl Place {
    pub(super) fn new(name: &str) -> Self {
        let host = Namespace::new("l").unwrap();
        let server = Peer::scenario(Some(&host), &["--listen", ADDRESS]).unwrap();
        Self {
            host,
            folder: Folder::new(name),
            _server: server,
        }
    }

    /// An agent with these sinks, and one more, standard output, that says what was there to be told.
    pub(super) fn agent(&self, sinks: &[&str]) -> Agent {
        self.agent_at("1433,1434", sinks, &[])
    }

    /// The same that watches these ports, with more options.
    pub(super) fn agent_at(&self, ports: &str, sinks: &[&str], more: &[&str]) -> Agent {
        let state = self.folder.path("state");
        let mut options = vec!["--port", ports, "--state", &state, "--sink", "kind=stdout"];
        for sink in sinks {
            options.extend(["--sink", sink]);
        }
        options.extend(more);
        Agent::start(&self.host, &options).unwrap()
    }

    /// A login that goes well, and one that is refused.
    pub(super) fn log_in(&self) {
        let login = Login::to("127.0.0.1", 1433, Encrypt::Off);
        let fared = Driver::Tsql.run(Some(&self.host), &login).unwrap();
        assert!(fared.ok, "{}", fared.output);
        let mut refused = self.host.command(program("raw-client").unwrap());
        let (status, _) = run(refused.arg("127.0.0.1:1434"), "", LIMIT).unwrap();
        assert!(!status.success());
    }

    /// Logs in until there are so many lines of closes.
    pub(super) fn log_in_until(&self, agent: &mut Agent, closes: usize) {
        while of(&agent.events().unwrap(), "close").len() < closes {
            self.log_in();
            agent.wait_for("close", 2, LIMIT).unwrap();
        }
    }

    /// Whoever takes bytes there and appends them to the file.
    pub(super) fn takes(&self, from: &str, file: &str) -> Running {
        let mut socat = self.host.command("socat");
        socat.args(["-u", from, &format!("OPEN:{file},creat,append")]);
        Running::start(&mut socat).unwrap()
    }
}

/// The whole lines of a file.
pub(super) fn lines(file: &str) -> Vec<Value> {
    parse_lines(&fs::read_to_string(file).unwrap_or_default())
}

/// The whole lines of a text that are JSON.
pub(super) fn parse_lines(text: &str) -> Vec<Value> {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    lines.collect()
}

/// Each record's event with what it is about, as often as it came under a number of its own.
pub(super) fn told(lines: &[Value]) -> BTreeMap<String, usize> {
    let mut seen = BTreeSet::new();
    let mut told = BTreeMap::new();
    for line in lines {
        if seen.insert(format!("{} {}", line["run_id"], line["line"])) {
            let about = [
                &line["event"],
                &line["connection"]["id"],
                &line["attempt"]["id"],
                &line["agent"]["action"],
            ];
            let about = about.map(ToString::to_string).join(" ");
            *told.entry(about).or_default() += 1;
        }
    }
    told
}

/// The numbers of a run's lines that are there, and the last.
pub(super) fn gaps(lines: &[Value]) -> Vec<u64> {
    let numbers: BTreeSet<u64> = lines
        .iter()
        .filter_map(|line| line["line"].as_u64())
        .collect();
    let last = numbers.last().copied().unwrap_or_default();
    (1..=last)
        .filter(|number| !numbers.contains(number))
        .collect()
}

pub(super) fn has_event(lines: &[Value], event: &str, count: usize) -> bool {
    of(lines, event).len() >= count
}
