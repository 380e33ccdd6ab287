//! Debian's packages: installed in one go, and the lists refreshed only when they do not know one.

use std::process::Command;

use anyhow::Result;

use crate::{
    host::{Lacking, find_program, is_root},
    process::{command, output, run, succeeds},
    setup::say,
};

/// Installs these and returns the number of steps taken; fails with [`Lacking`] where it may not.
pub(crate) fn install(packages: &[&str]) -> Result<usize> {
    if packages.is_empty() {
        return Ok(0);
    }
    let names = packages.join(" ");
    if find_program("apt-get").is_none() {
        return Err(Lacking(format!(
            "this is no Debian: install what Debian calls {names} with this system's own tools"
        ))
        .into());
    }
    if !is_root() {
        return Err(Lacking(format!(
            "missing packages; run: sudo apt-get update && sudo apt-get install --no-install-recommends {names}"
        ))
        .into());
    }
    let refreshed = !all_known(packages);
    if refreshed {
        refresh()?;
    }
    say(&format!("installing {names}"));
    let mut install = apt_get(&["install", "--yes", "--no-install-recommends"]);
    install.args(packages);
    if let Err(error) = run(&mut install) {
        // Lists that are too old name files that the mirror has dropped.
        if refreshed {
            return Err(error);
        }
        refresh()?;
        run(&mut install)?;
    }
    Ok(1)
}

/// Whether the package is installed.
pub(crate) fn is_installed(package: &str) -> bool {
    output(&mut command(
        "dpkg-query",
        ["--show", "--showformat=${db:Status-Status}", package],
    ))
    .is_ok_and(|status| status == "installed")
}

/// `apt-get`, which asks nothing, and waits for another one to end: on a machine that has just started its own is at work.
fn apt_get(args: &[&str]) -> Command {
    let mut apt = command("apt-get", ["-oDPkg::Lock::Timeout=600"]);
    apt.args(args);
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

fn refresh() -> Result<()> {
    say("refreshing the package lists");
    run(&mut apt_get(&["update"]))
}

/// One question each: asked for several, apt is content when it knows one of them.
fn all_known(packages: &[&str]) -> bool {
    packages
        .iter()
        .all(|package| succeeds(&mut command("apt-cache", ["show", package])))
}
