//! A start among many processes and open connections: no record is lost while the agent looks through them, and every login
//! that began meanwhile is told.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::bench::{Crowd, Watching};
use harness::net::Namespace;
use serde_json::Value;

/// Ids that others may need.
const LEFT: usize = 8_000;
/// Open connections, each with both its sockets here, and how many one process holds.
const CONNECTIONS: usize = 50_000;
const HELD: usize = 12_500;
/// Logins, and how many a second; they begin before the agent, and go on after its start.
const LOGINS: usize = 20_000;
const RATE: &str = "500";

/// Forks itself so often, and ends with its standard input once its children have, which end with it too.
const SLEEPERS: &str = "exec 3<&0; i=0; while [ $i -lt $0 ]; do { read line; } <&3 & i=$((i+1)); done; echo all; read line; wait";
/// So many at a time: each child has a copy of its own of the list of those before it.
const FORKED: usize = 250;

/// Processes that end with this: shells, each with the children that it has forked.
#[derive(Default)]
struct Sleepers(Vec<Child>);

impl Sleepers {
    fn start(count: usize) -> Result<Self> {
        let mut sleepers = Self::default();
        let mut left = count;
        while left > 0 {
            let forked = left.saturating_sub(1).min(FORKED);
            sleepers.fork(forked)?;
            left -= 1 + forked;
        }
        Ok(sleepers)
    }

    /// Starts a shell, which forks so many.
    fn fork(&mut self, count: usize) -> Result<()> {
        let mut child = Command::new("sh")
            .args(["-c", SLEEPERS, &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("no output")?;
        self.0.push(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line.trim() == "all", "not all processes could be started");
        Ok(())
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for shell in &mut self.0 {
            drop(shell.stdin.take());
        }
        for shell in &mut self.0 {
            shell.wait().ok();
        }
    }
}

/// Among so many processes that do nothing.
pub(crate) fn measure(processes: usize) -> Result<()> {
    let most: usize = fs::read_to_string("/proc/sys/kernel/pid_max")?
        .trim()
        .parse()?;
    let processes = processes.min(most.saturating_sub(LEFT));
    let host = Namespace::new("start")?;
    let (agent, alone) = started(&host)?;
    drop(agent.stop()?);
    let begun = Instant::now();
    let _sleepers = Sleepers::start(processes)?;
    println!(
        "{processes} processes in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    let mut open = Vec::new();
    for index in 0..CONNECTIONS / HELD {
        let address = format!("127.0.1.{}:1433", index + 1);
        open.push(Crowd::serve(&host, &[&address, "--hold"])?);
        let many = HELD.to_string();
        let mut client = Crowd::start(&host, &["connect", &address, &many, "--hold"])?;
        client.line()?;
        open.push(client);
    }
    let address = "127.0.0.1:1433";
    let _server = Crowd::serve(&host, &[address, "--say", "login"])?;
    let many = LOGINS.to_string();
    let logins = ["connect", address, &many, "--say", "login", "--rate", RATE];
    let mut logins = Crowd::start(&host, &logins)?;
    let (agent, among) = started(&host)?;
    logins.line()?;
    logins.release()?;
    // The last close, and what is lost, are told within seconds.
    thread::sleep(Duration::from_secs(5));
    let [_, most] = agent.resident()?;
    let said = Said::of(&fs::read_to_string(&*agent.stop()?)?)?;
    println!(
        "started among {processes} processes and {} sockets in {among} (alone in {alone}), at most {} MiB, while {RATE} logins a \
         second began: {} of them told, {} whole; lost {:?}",
        2 * CONNECTIONS,
        most >> 10,
        said.logins,
        said.whole,
        said.losses,
    );
    ensure!(said.losses.is_empty(), "records were lost at the start");
    ensure!(said.whole > 0, "no login was told whole");
    Ok(())
}

/// How long a start has taken.
struct Took {
    clock: Duration,
    /// Of a processor.
    processor: Duration,
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (clock, processor) = (self.clock.as_secs_f64(), self.processor.as_secs_f64());
        write!(f, "{clock:.2} s, {processor:.2} s of a processor")
    }
}

fn started(host: &Namespace) -> Result<(Watching, Took)> {
    let begun = Instant::now();
    let agent = Watching::start(host, &["--max-flows", "131072"])?;
    let clock = begun.elapsed();
    let processor = agent.processor_since_start()?;
    Ok((agent, Took { clock, processor }))
}

/// What the agent told.
#[derive(Default)]
struct Said {
    logins: usize,
    /// Those that were seen from their first packet on.
    whole: usize,
    losses: Vec<Value>,
}

impl Said {
    fn of(lines: &str) -> Result<Self> {
        let mut said = Self::default();
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line)?;
            match line["event"].as_str() {
                Some("login") => {
                    said.logins += 1;
                    said.whole += usize::from(line["connection"]["partial"] == false);
                }
                Some("loss") => said.losses.push(line["loss"].clone()),
                _ => {}
            }
        }
        Ok(said)
    }
}
