//! Every fuzz target for a bounded time, from the corpus that is kept.
//!
//! A corpus is kept minimised, as one archive a target in `fuzz/seeds`; what a run adds to it stays in
//! `fuzz/corpus`, which is not checked in, until `--keep` packs it.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};
use clap::Parser;

use crate::{
    beside::{self, Beside},
    ebpf::BOOTSTRAP,
    process::{cargo, command, output, root, run as run_it},
    setup,
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
    /// Afterwards minimise each corpus and check it in, under `fuzz/seeds`
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::cargo_fuzz()?;
    let listed = output(&mut cargo_fuzz(&["list"])).context("listing the fuzz targets")?;
    let wanted = args.target.as_deref().unwrap_or_default();
    for target in listed.lines().filter(|name| name.contains(wanted)) {
        unpack(target)?;
        run_it(cargo_fuzz(&["run", target, "--"]).args([
            format!("-max_total_time={}", args.seconds),
            "-verbosity=0".to_owned(),
            "-print_final_stats=1".to_owned(),
        ]))
        .with_context(|| format!("fuzz target {target}"))?;
        if args.keep {
            run_it(&mut cargo_fuzz(&["cmin", target]))?;
            pack(target)?;
        }
    }
    Ok(())
}

/// Begins to build all targets, idly: the tests leave the processors alone half of the time.
pub(crate) fn build_beside() -> Result<Beside> {
    Beside::start("fuzz", &mut beside::idly(&cargo_fuzz(&["build"])))
}

/// Each target for a few seconds: enough to run all that is kept, and to see that it still builds.
pub(crate) fn briefly() -> Result<()> {
    run(&Args {
        seconds: 2,
        target: None,
        keep: false,
    })
}

fn seeds(target: &str) -> PathBuf {
    root().join("fuzz/seeds").join(format!("{target}.tar.gz"))
}

fn corpus(target: &str) -> PathBuf {
    root().join("fuzz/corpus").join(target)
}

fn unpack(target: &str) -> Result<()> {
    let (seeds, corpus) = (seeds(target), corpus(target));
    fs::create_dir_all(&corpus)?;
    if seeds.is_file() {
        run_it(command("tar", ["-xzf"]).arg(seeds).arg("-C").arg(corpus))?;
    }
    Ok(())
}

/// The same corpus gives the same archive.
fn pack(target: &str) -> Result<()> {
    let options = [
        "--sort=name",
        "--mtime=@0",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--use-compress-program=gzip -9n",
        "-cf",
    ];
    let mut tar = command("tar", options);
    run_it(
        tar.arg(seeds(target))
            .arg("-C")
            .arg(corpus(target))
            .arg("."),
    )
}

/// Sanitizers are `-Z` options, which a stable compiler takes only when told.
fn cargo_fuzz(args: &[&str]) -> Command {
    let mut command = cargo(["fuzz"]);
    command
        .args(args)
        .env(BOOTSTRAP, "1")
        .env("AYA_BUILD_SKIP", "1");
    command
}
