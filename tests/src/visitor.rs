//! A client that stays connected until it is told to leave.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::net::Namespace;
use crate::peer::program;
use crate::process::Running;

/// A client whose PRELOGIN was answered, and that says nothing more.
pub struct Visitor {
    running: Running,
}

impl Visitor {
    /// Connects to `address`, and waits until the server has answered. `arguments` are those of
    /// `raw-client` for its leave.
    pub fn answered(host: &Namespace, address: &str, arguments: &[&str]) -> Result<Self> {
        let mut command = host.command(program("raw-client")?);
        command.args([
            address, "--send", "prelogin", "--read", "--stay", "--wait", "0",
        ]);
        let mut running = Running::start_held(command.args(arguments))?;
        if !running.wait_lines(Duration::from_secs(20), |lines| !lines.is_empty()) {
            bail!("the client was not answered: {}", running.errors());
        }
        Ok(Self { running })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Lets it leave, and waits until it has ended.
    pub fn leave(self) -> Result<()> {
        let ended = self.running.release()?;
        if !ended.status.success() {
            bail!("the client fails: {}", ended.errors);
        }
        Ok(())
    }
}
