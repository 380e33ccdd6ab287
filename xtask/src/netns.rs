//! Network namespaces of our own, gone when the value is dropped.

use std::{
    ffi::OsStr,
    process::{self, Command},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::process::{command, output, succeeds};

/// A network namespace.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one whose name begins with `tds` and ends with this process's id.
    pub(crate) fn new(role: &str) -> Result<Self> {
        let name = format!("tds-{role}-{}", process::id());
        output(&mut command("ip", ["netns", "add", &name]))?;
        let namespace = Self { name };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Any program inside. Only the network differs: `ip netns exec` would hide cgroups and
    /// tracefs under a fresh `/sys`.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.name))
            .arg("--")
            .arg(program);
        command
    }

    /// `ip` inside.
    pub(crate) fn ip(&self, args: &[&str]) -> Result<()> {
        output(self.command("ip").args(args)).map(drop)
    }

    /// Joins two namespaces by a veth pair, one interface and address for each.
    pub(crate) fn join(&self, own: (&str, &str), other: &Self, theirs: (&str, &str)) -> Result<()> {
        let peer = ["peer", "name", theirs.0, "netns", &other.name];
        let mut link = self.command("ip");
        link.args(["link", "add", own.0, "type", "veth"]).args(peer);
        output(&mut link)?;
        for (namespace, (interface, address)) in [(self, own), (other, theirs)] {
            namespace.ip(&["address", "add", address, "dev", interface])?;
            namespace.ip(&["link", "set", interface, "up"])?;
        }
        Ok(())
    }

    /// Waits up to ten seconds until something listens on that TCP port.
    pub(crate) fn wait_for_listener(&self, port: u16) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            let filter = format!("sport = :{port}");
            let found = output(self.command("ss").args(["-Hltn", &filter]))?;
            if !found.trim().is_empty() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        bail!("nothing listens on port {port}")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if !succeeds(&mut command("ip", ["netns", "delete", &self.name])) {
            eprintln!("xtask: namespace {} was left behind", self.name);
        }
    }
}
