//! Two hosts and a cable: network namespaces joined by a veth pair.

use std::ffi::OsStr;
use std::process::Command;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result, bail};

use crate::group::Group;

/// Name of the cable's end in either namespace.
pub const INTERFACE: &str = "veth0";
/// IPv4 address of the client's host.
pub const CLIENT_V4: &str = "10.87.0.1";
/// IPv4 address of the server's host.
pub const SERVER_V4: &str = "10.87.0.2";
/// IPv6 address of the client's host.
pub const CLIENT_V6: &str = "fd00:87::1";
/// IPv6 address of the server's host.
pub const SERVER_V6: &str = "fd00:87::2";
/// An address that packets reach the server's host for, where they vanish.
pub const BLACK_HOLE_V4: &str = "10.87.9.9";

/// A namespace on its own. What runs in it is in the test's control group.
pub struct Namespace {
    name: String,
    group: Arc<Group>,
}

impl Namespace {
    /// Makes a namespace with its loopback up, and a name of its own.
    pub fn new(role: &str) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tdst-{}-{count}-{role}", std::process::id());
        ip(&["netns", "add", &name])?;
        let group = Group::of_test(&name)?;
        let namespace = Self { name, group };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Name, as `ip netns` lists it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command to run inside. Not by `ip netns exec`, which would hide the
    /// control groups and the tracing file system.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let enter = format!(
            "{}; exec nsenter --net=/run/netns/{} -- \"$@\"",
            self.group.enter(),
            self.name
        );
        let mut command = Command::new("sh");
        command.args(["-c", &enter, "sh"]).arg(program);
        command
    }

    /// The directory of the test's control group.
    pub fn group(&self) -> String {
        self.group.directory().display().to_string()
    }

    /// Knows the hardware address of another host's interface, if it has one: so that the first SYN does
    /// not wait until it is asked for.
    fn knows(&self, other: &Self, addresses: &[&str]) -> Result<()> {
        let shown = Command::new("ip")
            .args(["-n", &other.name, "-o", "link", "show", "dev", INTERFACE])
            .output()
            .context("cannot run ip")?;
        let shown = String::from_utf8_lossy(&shown.stdout);
        let mut words = shown.split_whitespace();
        if words.any(|word| word == "link/ether")
            && let Some(hardware) = words.next()
        {
            for address in addresses {
                self.ip(&[
                    "neigh", "replace", address, "lladdr", hardware, "dev", INTERFACE,
                ])?;
            }
        }
        Ok(())
    }

    /// Runs `ip` inside.
    pub fn ip(&self, arguments: &[&str]) -> Result<()> {
        let inside = ["-n", &self.name];
        ip(&[&inside[..], arguments].concat())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nobody is left to tell when a test is over.
        ip(&["netns", "delete", &self.name]).ok();
    }
}

/// A client's host and a server's host.
pub struct Network {
    /// Where the client runs.
    pub client: Namespace,
    /// Where the server runs.
    pub server: Namespace,
}

impl Network {
    /// Makes both, with IPv4 and IPv6 on the cable.
    pub fn new() -> Result<Self> {
        Self::joined(|network| {
            let [client, server] = [&network.client, &network.server].map(Namespace::name);
            cable((client, INTERFACE), (server, INTERFACE))
        })
    }

    /// Makes both, and what `join` gives each of them as its interface.
    pub fn joined(join: impl FnOnce(&Self) -> Result<()>) -> Result<Self> {
        let network = Self {
            client: Namespace::new("c")?,
            server: Namespace::new("s")?,
        };
        join(&network)?;
        for (host, v4, v6) in [
            (&network.client, CLIENT_V4, CLIENT_V6),
            (&network.server, SERVER_V4, SERVER_V6),
        ] {
            host.ip(&["addr", "add", &format!("{v4}/24"), "dev", INTERFACE])?;
            host.ip(&[
                "addr",
                "add",
                &format!("{v6}/64"),
                "dev",
                INTERFACE,
                "nodad",
            ])?;
            host.ip(&["link", "set", INTERFACE, "up"])?;
        }
        for (host, other, v4, v6) in [
            (&network.client, &network.server, SERVER_V4, SERVER_V6),
            (&network.server, &network.client, CLIENT_V4, CLIENT_V6),
        ] {
            host.knows(other, &[v4, v6])?;
        }
        // The server's host does not forward, hence drops without a word.
        network
            .client
            .ip(&["route", "add", BLACK_HOLE_V4, "via", SERVER_V4])?;
        Ok(network)
    }
}

/// Lays a cable between two namespaces, each end with its name.
pub(crate) fn cable((one, end): (&str, &str), (other, other_end): (&str, &str)) -> Result<()> {
    ip(&[
        "link", "add", end, "netns", one, "type", "veth", "peer", "name", other_end, "netns", other,
    ])
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .context("cannot run ip")?;
    if !output.status.success() {
        bail!(
            "ip {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
