//! Servers in a namespace, and where built programs are.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::kdc::Environment;
use crate::net::Namespace;
use crate::process::Running;

/// A server that listens.
pub struct Peer {
    running: Running,
    address: SocketAddr,
}

impl Peer {
    /// Starts the scenario server; `arguments` must name what to listen on.
    pub fn scenario(host: Option<&Namespace>, arguments: &[&str]) -> Result<Self> {
        Self::start(host, "scenario-server", arguments, Environment::new())
    }

    /// The same with variables of its own, such as where its Kerberos key is.
    pub fn scenario_with(
        host: Option<&Namespace>,
        arguments: &[&str],
        environment: Environment,
    ) -> Result<Self> {
        Self::start(host, "scenario-server", arguments, environment)
    }

    /// Starts Microsoft's mock server in a mode of its own.
    pub fn mock(host: Option<&Namespace>, arguments: &[&str]) -> Result<Self> {
        Self::start(host, "mock-server", arguments, Environment::new())
    }

    /// Starts the server of names: SQL Browser, or name resolution.
    pub fn names(host: &Namespace, arguments: &[&str]) -> Result<Self> {
        Self::start(Some(host), "name-server", arguments, Environment::new())
    }

    /// Starts a service that takes its time.
    pub fn slow(host: &Namespace, arguments: &[&str]) -> Result<Self> {
        Self::start(Some(host), "slow-server", arguments, Environment::new())
    }

    fn start(
        host: Option<&Namespace>,
        name: &str,
        arguments: &[&str],
        environment: Environment,
    ) -> Result<Self> {
        let program = program(name)?;
        let mut command =
            host.map_or_else(|| Command::new(&program), |host| host.command(&program));
        let mut running = Running::start(command.args(arguments).envs(environment))?;
        let mut address = None;
        running.wait_lines(Duration::from_secs(20), |lines| {
            address = lines
                .iter()
                .find_map(|line| line.strip_prefix("listening ")?.parse().ok());
            address.is_some()
        });
        let Some(address) = address else {
            bail!("{name} does not listen: {}", running.errors());
        };
        Ok(Self { running, address })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it wrote so far.
    pub fn lines(&mut self) -> Vec<String> {
        self.running.lines().to_vec()
    }

    /// Waits until `done` likes the lines so far, and says whether it did within `limit`.
    pub fn wait(&mut self, limit: Duration, done: impl FnMut(&[String]) -> bool) -> bool {
        self.running.wait_lines(limit, done)
    }

    /// Waits until a line holds `text`, and gives that line.
    pub fn wait_line(&mut self, text: &str) -> Result<String> {
        let mut found = None;
        self.running.wait_lines(Duration::from_secs(5), |lines| {
            found = lines.iter().find(|line| line.contains(text)).cloned();
            found.is_some()
        });
        found.with_context(|| format!("no line with {text:?} in {:#?}", self.lines()))
    }
}

/// Path of a program of this workspace, as built beside the running test;
/// `TDS_TRACER_BIN_DIR` names another place.
pub fn program(name: &str) -> Result<PathBuf> {
    let directory = if let Some(directory) = std::env::var_os("TDS_TRACER_BIN_DIR") {
        PathBuf::from(directory)
    } else {
        let test = std::env::current_exe()?;
        let directory = test.parent().context("a test without directory")?;
        let deps = directory.ends_with("deps");
        directory
            .parent()
            .filter(|_| deps)
            .unwrap_or(directory)
            .to_owned()
    };
    let path = directory.join(name);
    if !path.exists() {
        bail!(
            "{} is not built: cargo xtask setup, or see CONTRIBUTING.md",
            path.display()
        );
    }
    Ok(path)
}

/// Root of the workspace.
pub fn workspace() -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    tests.parent().map_or(tests.clone(), PathBuf::from)
}
