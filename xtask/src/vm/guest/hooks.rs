//! Which hook the agent must have used.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Agent;
use crate::process::{command, output};

/// The first kernel that has TCX links.
const TCX: (u32, u32) = (6, 6);

/// Every interface is watched by the best hook that the kernel has; by filters only where that is
/// the stranger's, it is said that his come first.
pub(super) fn are_as_expected(agent: &Agent, release: &str) -> Result<()> {
    let has_tcx = has_tcx(release)?;
    let hook = if has_tcx { "tcx" } else { "clsact" };
    let added = agent.all(|event| event["agent"]["action"] == "interface_added")?;
    ensure!(added.len() >= 3, "interfaces: {added:?}");
    for event in &added {
        let agent = &event["agent"];
        ensure!(agent["hooks"][0] == hook, "not by {hook}: {agent}");
    }
    let behind = agent.all(|event| event["agent"]["reason"] == "filters")?;
    let on_loopback = |detail: &str| detail.starts_with("lo: at priority 2,");
    match (has_tcx, &behind[..]) {
        (true, []) => Ok(()),
        (false, [event]) if event["agent"]["detail"].as_str().is_some_and(on_loopback) => Ok(()),
        _ => anyhow::bail!("what is said of the stranger: {behind:?}"),
    }
}

/// Whether a kernel of that release has TCX links.
pub(super) fn has_tcx(release: &str) -> Result<bool> {
    Ok(version(release)? >= TCX)
}

/// Somebody removes an interface's qdisc, and the programs' filters with it: that is told, and they are there again.
pub(super) fn are_put_back(agent: &Agent, interface: &str) -> Result<()> {
    output(command("tc", ["qdisc", "del", "dev"]).args([interface, "clsact"]))?;
    agent.wait_for("word of removed filters", |event| {
        let detail = event["agent"]["detail"].as_str();
        event["agent"]["reason"] == "filters_removed"
            && detail.is_some_and(|text| text.starts_with(interface))
    })?;
    let again = |event: &Value| {
        event["agent"]["action"] == "interface_added" && event["agent"]["interface"] == interface
    };
    agent.wait_for("second attachment", |_| {
        agent.all(again).is_ok_and(|told| told.len() == 2)
    })?;
    Ok(())
}

/// Major and minor of a release.
fn version(release: &str) -> Result<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next()?.parse().ok();
    number().zip(number()).context("the kernel's release")
}
