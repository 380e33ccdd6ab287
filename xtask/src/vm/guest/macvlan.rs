//! A client and a server on two devices of one (macvlan), whose packets go from one to the other and pass no bridge.

use anyhow::Result;

use super::{Link, Server, agent::Agent, ip, login_is_seen};

/// The device below both.
const BELOW: &str = "trunk0";

/// One login across them, and what the agent must say about it.
pub(super) fn login(agent: &Agent) -> Result<()> {
    ip(&format!("link add {BELOW} type veth peer name trunk1"))?;
    for device in [BELOW, "trunk1"] {
        ip(&format!("link set {device} up"))?;
    }
    let link = Link::made("mac", 4, |near, far| {
        let of = format!("link add link {BELOW} name");
        ip(&format!("{of} {near} type macvlan mode bridge"))?;
        ip(&format!("{of} {far} netns mac type macvlan mode bridge"))
    })?;
    login_is_seen(agent, &Server::behind(&link)?)
}
