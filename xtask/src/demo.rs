//! Real logins, watched: two namespaces, a server and a client that nobody here wrote, and the
//! agent between them.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::mpsc::{self, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use crate::{
    host,
    netns::Namespace,
    peers::{self, Encryption, MockServer},
    process::{command, output, target},
    setup::{self, For},
};

const CLEAR: ([u8; 4], u16) = ([198, 51, 100, 2], 1433);
const SEALED: ([u8; 4], u16) = ([198, 51, 100, 2], 1434);

/// The kernel's verifier takes its time, the more so on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Options of `demo`.
#[derive(Parser)]
pub(crate) struct Args {
    /// Logins of each kind
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    logins: u8,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    host::require_root("the demo")?;
    setup::ensure(For::Demo)?;
    peers::build_demo()?;

    let client = Namespace::new("client")?;
    let server = Namespace::new("server")?;
    client.join(
        ("sql0", "198.51.100.1/24"),
        &server,
        ("sql0", "198.51.100.2/24"),
    )?;
    let _clear = MockServer::start(&server, SocketAddr::from(CLEAR), Encryption::None)?;
    let _sealed = MockServer::start(&server, SocketAddr::from(SEALED), Encryption::Full)?;

    eprintln!(
        "\ndemo: {} logins in clear, then {} under TLS\n",
        args.logins, args.logins
    );
    let agent = Agent::start(&client, "pretty", true)?;
    for address in [CLEAR, SEALED] {
        for _ in 0..args.logins {
            peers::tsql_login(&client, SocketAddr::from(address))?;
        }
    }
    agent.stop()?;

    eprintln!("\ndemo: one login as the event stream has it\n");
    let agent = Agent::start(&client, "json", false)?;
    peers::tsql_login(&client, SocketAddr::from(CLEAR))?;
    show_login(&agent.stop()?)
}

/// The agent, at work inside a namespace.
struct Agent {
    child: Child,
    log: PathBuf,
    lines: Option<JoinHandle<Vec<String>>>,
}

impl Agent {
    /// Starts it and waits until it watches. What it prints is kept, and shown if wanted.
    fn start(namespace: &Namespace, format: &str, show: bool) -> Result<Self> {
        let log = target().join("demo-agent.log");
        let mut child = namespace
            .command(target().join("debug/tds-tracer"))
            .args(["run", "--format", format])
            .args(["--port", "1433", "--port", "1434"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log)?)
            .spawn()
            .context("cannot start the agent")?;
        let output = child.stdout.take().context("the agent's output")?;
        let (started, watching) = mpsc::channel();
        let lines = thread::spawn(move || read_lines(output, show, &started));
        let agent = Self {
            child,
            log,
            lines: Some(lines),
        };
        if watching.recv_timeout(PATIENCE).is_err() {
            bail!("the agent does not watch: {}", agent.said());
        }
        Ok(agent)
    }

    /// Gives it time for the last close, asks it to stop, and returns all that it printed.
    fn stop(mut self) -> Result<Vec<String>> {
        thread::sleep(Duration::from_millis(700));
        output(&mut interrupt(&self.child))?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the agent ended with {status}: {}", self.said());
        }
        let lines = self.lines.take().map(JoinHandle::join);
        Ok(lines.and_then(Result::ok).unwrap_or_default())
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Only an early return leaves it running.
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(output(&mut interrupt(&self.child)));
            drop(self.child.wait());
        }
    }
}

/// Reads until the agent ends; says when its line tells that it watches.
fn read_lines(output: ChildStdout, show: bool, started: &Sender<()>) -> Vec<String> {
    let mut kept = Vec::new();
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if show {
            println!("{line}");
        }
        if line.contains("agent") && line.contains("start") {
            // Nobody waits any more where it took too long.
            let _: Result<_, _> = started.send(());
        }
        kept.push(line);
    }
    kept
}

fn interrupt(child: &Child) -> Command {
    command("kill", ["-INT", &child.id().to_string()])
}

fn show_login(lines: &[String]) -> Result<()> {
    let login = lines
        .iter()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|event| event["event"] == "login")
        .context("no login in the event stream")?;
    println!("{}", serde_json::to_string_pretty(&login)?);
    eprintln!("\ndemo: done; namespaces and programs are gone again");
    Ok(())
}
