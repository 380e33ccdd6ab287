//! Connections that move between processors, half of them through a host that rewrites addresses, beside a flood of
//! SYNs, while the agent works, sleeps, and works again.

use std::process::{Child, Stdio};

use anyhow::Result;

use super::{Accounts, Made};
use crate::bench::{Crowd, Watching};
use crate::nat::{OUTSIDE, PUBLISHED, Rewriting};
use crate::net::{CLIENT_V4, Network, SERVER_V4};
use crate::peer::program;

const PORT: u16 = 1433;
/// The first port that clients use.
const FIRST: u16 = 2000;
/// Where the flood comes from.
const FLOOD: &str = "10.99.0.0";

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    /// Connections of each of the two clients while the agent works, while it is stopped, and once it works again.
    pub parts: [u16; 3],
    /// Options of the agent.
    pub options: &'a [&'a str],
    /// Whether SYNs come as fast as they go, meanwhile.
    pub flood: bool,
}

/// A child that is ended with this.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Trial<'_> {
    /// Makes the connections; what was said of them, and how many were made in a second.
    pub fn run(&self) -> Result<(Accounts, f64)> {
        let network = Network::new()?;
        let hosts = Rewriting::new()?;
        // What answers a SYN of the flood goes nowhere, and asks nobody the way.
        network
            .server
            .ip(&["route", "add", "blackhole", "10.99.0.0/16"])?;
        let listen = format!("0.0.0.0:{PORT}");
        let _servers = [&network.server, &hosts.containers[0]]
            .map(|host| Crowd::serve(host, &[&listen]))
            .into_iter()
            .collect::<Result<Vec<_>>>()?;
        let agent = Watching::start(&network.server, self.options)?;
        let _flood = self.flood.then(|| flood(&network)).transpose()?;
        let ways = [
            (&network.client, SERVER_V4, CLIENT_V4),
            (&hosts.outside, PUBLISHED, OUTSIDE),
        ];
        let (mut from_port, mut nanos) = (FIRST, 0);
        for (count, signal) in self
            .parts
            .into_iter()
            .zip([None, Some("STOP"), Some("CONT")])
        {
            if let Some(signal) = signal {
                agent.signal(signal)?;
            }
            let connect = |(host, to, from): (_, &str, &str)| {
                let (to, count) = (format!("{to}:{PORT}"), count.to_string());
                let arguments = ["connect", &to, &count, "--moving", "--from", from];
                let port = ["--from-port", &from_port.to_string()];
                Crowd::start(host, &[&arguments[..], &port].concat())
            };
            let clients = ways.map(connect).into_iter().collect::<Result<Vec<_>>>()?;
            let mut longest = 0;
            for mut client in clients {
                let [took] = client.figures(["in"])?;
                longest = longest.max(took);
                client.release()?;
            }
            nanos += longest;
            from_port += count;
        }
        let lines = agent.stop()?;
        let made = ways.map(|(_, _, from)| Made {
            from: from.parse().unwrap_or(std::net::Ipv4Addr::UNSPECIFIED),
            first: FIRST,
            count: from_port - FIRST,
        });
        let accounts = Accounts::of(&lines, &made, [10, 99])?;
        let rate = accounts.made as f64 * 1e9 / nanos as f64;
        Ok((accounts, rate))
    }
}

/// SYNs to the server that is not behind another host.
fn flood(network: &Network) -> Result<Ended> {
    let mut flood = network.client.command(program("syn-flood")?);
    flood.args([&format!("{SERVER_V4}:{PORT}"), "--from", FLOOD]);
    flood.args(["--millis", "600000"]);
    Ok(Ended(flood.stdout(Stdio::null()).spawn()?))
}
