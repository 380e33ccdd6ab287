//! A client and a server in routing domains of their own (VRF): their sockets are bound to a device that packets do
//! not come by.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use serde_json::json;

use super::{Link, PORT, Server, agent::Agent, ip, served_to};
use crate::process::command;

/// The routing domain at either end, and its table.
const NAME: &str = "blue";
const TABLE: u32 = 10;
/// Binds a socket of the checks to it.
const BOUND: [&str; 2] = ["--device", NAME];

/// A link between them.
pub(super) fn link() -> Result<Link> {
    let link = Link::new("vrf", 3)?;
    enslave("", "vrf0")?;
    enslave("-n vrf ", "vrf1")?;
    Ok(link)
}

/// One login across them, told once, and what the agent must say about it.
pub(super) fn login(agent: &Agent, link: &Link) -> Result<()> {
    let mut inside = command("nsenter", ["--net=/run/netns/vrf"]);
    inside.args(["/bin/xtask", "vm-guest", "serve"]).args(BOUND);
    let server = Server::start(inside, SocketAddr::from((link.server, PORT)))?;
    served_to(agent, &BOUND, &server)?;
    let address = link.server.to_string();
    let told = agent
        .all(|event| event["event"] == "login" && event["server"]["address"] == address.as_str())?;
    ensure!(told.len() == 1, "told {} times", told.len());
    let repeats = &told[0]["tcp"]["retransmits"];
    ensure!(*repeats == json!({"client": 0, "server": 0}), "{repeats}");
    Ok(())
}

/// Puts a device into a routing domain; `at` says in which namespace, as an option of `ip`.
fn enslave(at: &str, device: &str) -> Result<()> {
    ip(&format!("{at}link add {NAME} type vrf table {TABLE}"))?;
    ip(&format!("{at}link set {NAME} up"))?;
    ip(&format!("{at}link set {device} master {NAME}"))
}
