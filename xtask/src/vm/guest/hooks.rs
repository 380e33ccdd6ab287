//! Which hook the agent must have used.

use anyhow::{Context as _, Result, ensure};

use super::Agent;

/// The first kernel that has TCX links.
const TCX: (u32, u32) = (6, 6);

/// Every interface is watched by the best hook that the kernel has; by filters only where that is
/// the stranger's, it is said that his come first.
pub(super) fn are_as_expected(agent: &Agent, release: &str) -> Result<()> {
    let has_tcx = version(release)? >= TCX;
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

/// Major and minor of a release.
fn version(release: &str) -> Result<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next()?.parse().ok();
    number().zip(number()).context("the kernel's release")
}
