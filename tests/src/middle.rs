//! What may lie between two hosts instead of one cable: a relay that changes packets, a switch,
//! devices without link header.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::net::{INTERFACE, Namespace, Network, cable};
use crate::peer::workspace;
use crate::process::{Running, run};

/// A host between the client's and the server's, and whatever it takes to make it one.
pub struct Middle {
    relay: Option<Running>,
    /// The host itself.
    pub host: Namespace,
    /// Where a relay runs that is no part of it.
    _beside: Option<Namespace>,
}

/// The switch's port towards the client.
pub const PORT_OF_CLIENT: &str = "port1";

impl Middle {
    /// A relay that makes a change, by its name there, to every packet of either direction.
    pub fn relay(change: &str) -> Result<(Network, Self)> {
        let host = Namespace::new("m")?;
        let network = Network::joined(|network| ends(network, &host, ["end1", "end2"]))?;
        up(&host, &["end1", "end2"])?;
        let relay = start(&host, &["end1", "end2", change, "end2", "end1", change])?;
        Ok((network, Self::of(host, Some(relay), None)))
    }

    /// A switch; where there is a tag to add, by its name in the relay, between both its ports.
    pub fn switch(tag: Option<&str>) -> Result<(Network, Self)> {
        let host = Namespace::new("m")?;
        let ports = [PORT_OF_CLIENT, "port2"];
        host.ip(&["link", "add", "switch0", "type", "bridge"])?;
        let (network, relay, beside) = if let Some(tag) = tag {
            let beside = Namespace::new("r")?;
            let network = Network::joined(|network| ends(network, &beside, ["end1", "end2"]))?;
            for (end, port) in ["end3", "end4"].into_iter().zip(ports) {
                cable((beside.name(), end), (host.name(), port))?;
            }
            up(&beside, &["end1", "end2", "end3", "end4"])?;
            let ways = [
                ["end1", "end3", tag],
                ["end3", "end1", "untag"],
                ["end2", "end4", tag],
                ["end4", "end2", "untag"],
            ];
            let relay = start(&beside, ways.as_flattened())?;
            (network, Some(relay), Some(beside))
        } else {
            let network = Network::joined(|network| ends(network, &host, ports))?;
            (network, None, None)
        };
        for port in ports {
            host.ip(&["link", "set", port, "master", "switch0"])?;
        }
        up(&host, &ports)?;
        up(&host, &["switch0"])?;
        Ok((network, Self::of(host, relay, beside)))
    }

    /// Devices without link header, joined by a relay.
    pub fn tun() -> Result<(Network, Self)> {
        let host = Namespace::new("m")?;
        let ways = [
            "tun:end1", "tun:end2", "none", "tun:end2", "tun:end1", "none",
        ];
        let relay = start(&host, &ways)?;
        let network = Network::joined(|network| {
            for (end, to) in [("end1", &network.client), ("end2", &network.server)] {
                host.ip(&["link", "set", end, "netns", to.name(), "name", INTERFACE])?;
            }
            Ok(())
        })?;
        Ok((network, Self::of(host, Some(relay), None)))
    }

    fn of(host: Namespace, relay: Option<Running>, beside: Option<Namespace>) -> Self {
        Self {
            relay,
            host,
            _beside: beside,
        }
    }

    /// What the relay complained of.
    pub fn complaints(&self) -> String {
        self.relay.as_ref().map(Running::errors).unwrap_or_default()
    }
}

/// Two hosts whose interfaces are ends of a VXLAN tunnel, over a cable of its own.
pub fn tunnel() -> Result<Network> {
    let [below, port] = ["below0", "4789"];
    Network::joined(|network| {
        let hosts = [
            (&network.client, "192.0.2.1"),
            (&network.server, "192.0.2.2"),
        ];
        cable((hosts[0].0.name(), below), (hosts[1].0.name(), below))?;
        for ((host, here), (_, there)) in hosts.into_iter().zip([hosts[1], hosts[0]]) {
            host.ip(&["addr", "add", &format!("{here}/24"), "dev", below])?;
            host.ip(&["link", "set", below, "up"])?;
            let name = ["link", "add", INTERFACE, "type", "vxlan", "id", "7"];
            let ends = [
                "local", here, "remote", there, "dstport", port, "dev", below,
            ];
            host.ip(&[&name[..], &ends].concat())?;
        }
        Ok(())
    })
}

/// Has what comes in at a host's interface come in by way of another device, as shapers do.
pub fn redirect(host: &Namespace) -> Result<()> {
    host.ip(&["link", "add", "shaper0", "type", "ifb"])?;
    up(host, &["shaper0"])?;
    let filter = "filter add dev veth0 parent ffff: protocol all u32 match u32 0 0 \
                  action mirred egress redirect dev shaper0";
    for line in ["qdisc add dev veth0 handle ffff: ingress", filter] {
        let (status, output) = run(
            host.command("tc").args(line.split_whitespace()),
            "",
            Duration::from_secs(10),
        )?;
        if !status.success() {
            bail!("tc {line}: {output}");
        }
    }
    Ok(())
}

/// Cables from the client and from the server to two ends at a host.
fn ends(network: &Network, host: &Namespace, ends: [&str; 2]) -> Result<()> {
    for (peer, end) in [&network.client, &network.server].into_iter().zip(ends) {
        cable((peer.name(), INTERFACE), (host.name(), end))?;
    }
    Ok(())
}

fn up(host: &Namespace, devices: &[&str]) -> Result<()> {
    let mut devices = devices.iter();
    devices.try_for_each(|device| host.ip(&["link", "set", device, "up"]))
}

fn start(host: &Namespace, ways: &[&str]) -> Result<Running> {
    let mut command = host.command("python3");
    command.arg(workspace().join("tests/drivers/relay.py"));
    let mut relay = Running::start(command.args(ways))?;
    let ready = |lines: &[String]| lines.iter().any(|line| line == "ready");
    if !relay.wait_lines(Duration::from_secs(10), ready) {
        bail!("the relay does not start: {}", relay.errors());
    }
    Ok(relay)
}
