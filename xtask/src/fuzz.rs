//! Every fuzz target for a bounded time.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use crate::{
    process::{cargo, output, root, run as run_it, succeeds},
    setup::say,
    toolchain::BOOTSTRAP,
};

/// Options of `fuzz`.
#[derive(Parser)]
pub(crate) struct Args {
    /// Seconds for each target
    #[arg(default_value_t = 60)]
    seconds: u32,
    /// Only the targets whose name contains this
    #[arg(long)]
    target: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !root().join("fuzz/Cargo.toml").is_file() {
        bail!("there is no fuzz/ yet");
    }
    if !succeeds(&mut cargo(["fuzz", "--version"])) {
        say("building cargo-fuzz (about a minute)");
        run_it(&mut cargo(["install", "cargo-fuzz", "--locked"]))?;
    }
    let listed = output(&mut cargo_fuzz(&["list"])).context("listing the fuzz targets")?;
    let wanted = args.target.as_deref().unwrap_or_default();
    let seconds = format!("-max_total_time={}", args.seconds);
    for target in listed.lines().filter(|name| name.contains(wanted)) {
        run_it(cargo_fuzz(&["run", target, "--"]).arg(&seconds))
            .with_context(|| format!("fuzz target {target}"))?;
    }
    Ok(())
}

/// Sanitizers are `-Z` options, which a stable compiler takes only when told.
fn cargo_fuzz(args: &[&str]) -> Command {
    let mut command = cargo(["fuzz"]);
    command.args(args).env(BOOTSTRAP, "1");
    command
}
