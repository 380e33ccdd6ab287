//! The agent under test: `tds-tracer run` in a namespace.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::net::Namespace;
use crate::peer::program;
use crate::process::Running;

/// Options of an agent that sees the interfaces of its namespace.
pub const AT_INTERFACES: [&str; 2] = ["--source", "interfaces"];

/// A running agent.
pub struct Agent {
    running: Running,
    /// Its lines so far, each read once.
    events: Vec<Value>,
}

/// What an agent wrote from start to stop.
#[derive(Debug)]
pub struct Record {
    /// Every line of its standard output.
    pub events: Vec<Value>,
    /// Its log.
    pub log: String,
    /// Whether it ended with success.
    pub success: bool,
}

impl Agent {
    /// Starts `tds-tracer run` and waits until it says that it has started. It sees the sockets of the
    /// test at hand, unless `--source` or `--cgroup` says otherwise.
    pub fn start(host: &Namespace, arguments: &[&str]) -> Result<Self> {
        let mut command = host.command(program("tds-tracer")?);
        command.arg("run");
        if !arguments.contains(&"--source") {
            command.args(["--source", "sockets"]);
            if !arguments.contains(&"--cgroup") {
                command.args(["--cgroup", &host.group()]);
            }
        }
        Self::start_by(command.args(arguments))
    }

    /// The same by a command of its own.
    pub fn start_by(command: &mut Command) -> Result<Self> {
        let running = Running::start(command)?;
        let events = Vec::new();
        let mut agent = Self { running, events };
        let started = agent.wait(Duration::from_mins(1), |events| {
            events
                .iter()
                .any(|event| event["agent"]["action"] == "start")
        })?;
        if !started {
            bail!(
                "the agent does not start: {}{:?}",
                agent.running.errors(),
                agent.running.lines()
            );
        }
        Ok(agent)
    }

    /// Waits until there are `count` lines of an event, and gives them; fewer
    /// when they do not come within `limit`.
    pub fn wait_for(&mut self, event: &str, count: usize, limit: Duration) -> Result<Vec<Value>> {
        self.wait(limit, |events| of(events, event).len() >= count)?;
        Ok(of(&self.events()?, event))
    }

    /// Every line so far.
    pub fn events(&mut self) -> Result<Vec<Value>> {
        let known = self.events.len();
        self.events.extend(parse(&self.running.lines()[known..])?);
        Ok(self.events.clone())
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Stops it as a service manager would.
    pub fn stop(self) -> Result<Record> {
        let ended = self.running.stop("TERM")?;
        Ok(Record {
            events: parse(&ended.lines)?,
            log: ended.errors,
            success: ended.status.success(),
        })
    }

    /// Waits until `done` likes the lines so far, and says whether it did within `limit`.
    pub fn wait(&mut self, limit: Duration, done: impl Fn(&[Value]) -> bool) -> Result<bool> {
        let mut broken = None;
        let Self { running, events } = self;
        let reached = running.wait_lines(limit, |lines| match parse(&lines[events.len()..]) {
            Ok(new) => {
                events.extend(new);
                done(events)
            }
            Err(error) => {
                broken = Some(error);
                true
            }
        });
        broken.map_or(Ok(reached), Err)
    }
}

/// The lines of one event.
pub fn of(events: &[Value], event: &str) -> Vec<Value> {
    events
        .iter()
        .filter(|line| line["event"] == event)
        .cloned()
        .collect()
}

fn parse(lines: &[String]) -> Result<Vec<Value>> {
    let parse =
        |line: &String| serde_json::from_str(line).with_context(|| format!("not JSON: {line}"));
    lines.iter().map(parse).collect()
}
