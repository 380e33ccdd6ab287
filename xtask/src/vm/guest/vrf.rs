//! A client and a server in routing domains of their own (VRF): their sockets are bound to a device that packets do
//! not come by.

use std::net::SocketAddr;

use anyhow::Result;

use super::{Link, PORT, Server, agent::Agent, ip, served_to};
use crate::process::command;

/// The routing domain at either end, and its table.
const NAME: &str = "blue";
const TABLE: u32 = 10;
/// Binds a socket of the checks to it.
const BOUND: [&str; 2] = ["--device", NAME];

/// One login across them, and what the agent must say about it.
pub(super) fn login(agent: &Agent) -> Result<()> {
    let link = Link::new("vrf", 3)?;
    enslave("", "vrf0")?;
    enslave("-n vrf ", "vrf1")?;
    let mut inside = command("nsenter", ["--net=/run/netns/vrf"]);
    inside.args(["/bin/xtask", "vm-guest", "serve"]).args(BOUND);
    let server = Server::start(inside, SocketAddr::from((link.server, PORT)))?;
    served_to(agent, &BOUND, &server).map(drop)
}

/// Puts a device into a routing domain; `at` says in which namespace, as an option of `ip`.
fn enslave(at: &str, device: &str) -> Result<()> {
    ip(&format!("{at}link add {NAME} type vrf table {TABLE}"))?;
    ip(&format!("{at}link set {NAME} up"))?;
    ip(&format!("{at}link set {device} master {NAME}"))
}
