//! Real logins, watched: two namespaces, a server and a client that nobody here wrote, and the
//! agent between them.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
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
    peers::build_all()?;

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
    let agent = Agent::start(&client, "pretty", Stdio::inherit())?;
    for address in [CLEAR, SEALED] {
        for _ in 0..args.logins {
            peers::tsql_login(&client, SocketAddr::from(address))?;
        }
    }
    agent.stop()?;

    eprintln!("\ndemo: one login as the event stream has it\n");
    let lines = target().join("demo.jsonl");
    let file = fs::File::create(&lines)?;
    let agent = Agent::start(&client, "json", file.into())?;
    peers::tsql_login(&client, SocketAddr::from(CLEAR))?;
    agent.stop()?;
    show_login(&lines)
}

/// The agent, at work inside a namespace.
struct Agent {
    child: Child,
    log: PathBuf,
}

impl Agent {
    fn start(namespace: &Namespace, format: &str, events: Stdio) -> Result<Self> {
        let log = target().join("demo-agent.log");
        let child = namespace
            .command(target().join("debug/tds-tracer"))
            .args(["run", "--format", format])
            .args(["--port", "1433", "--port", "1434"])
            .stdin(Stdio::null())
            .stdout(events)
            .stderr(fs::File::create(&log)?)
            .spawn()
            .context("cannot start the agent")?;
        let mut agent = Self { child, log };
        agent.wait_until_it_speaks()?;
        Ok(agent)
    }

    /// The agent's first line on standard error says that it watches.
    fn wait_until_it_speaks(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!("the agent ended with {status}: {}", self.said());
            }
            if self.said().contains('\n') {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        // Interfaces are attached one by one after that line.
        thread::sleep(Duration::from_millis(300));
        Ok(())
    }

    /// Gives it time for the last close, then asks it to stop and waits.
    fn stop(mut self) -> Result<()> {
        thread::sleep(Duration::from_millis(700));
        output(&mut interrupt(&self.child))?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the agent ended with {status}: {}", self.said());
        }
        Ok(())
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

fn interrupt(child: &Child) -> Command {
    command("kill", ["-INT", &child.id().to_string()])
}

fn show_login(lines: &PathBuf) -> Result<()> {
    let text = fs::read_to_string(lines)?;
    let login = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|event| event["event"] == "login")
        .context("no login in the event stream")?;
    println!("{}", serde_json::to_string_pretty(&login)?);
    eprintln!("\ndemo: done; namespaces and programs are gone again");
    Ok(())
}
