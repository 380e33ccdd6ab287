//! The agent under other kernels than this machine's: Debian's own, booted in an emulator from an
//! initramfs that holds busybox, the agent, and this program as the guest.

pub(crate) mod guest;
mod initramfs;
mod kernels;
mod qemu;
mod tds;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use crate::{
    process::{cargo, run as run_it, target},
    setup::{self, For},
    vm::kernels::{KERNELS, Kernel},
};

/// The agent, below the target directory.
const BUILT: &str = "debug/tds-tracer";

/// Options of `vm`.
#[derive(Parser)]
pub(crate) struct Args {
    /// Only these kernels: 5.10, 6.1, 6.12; all of them when none is named
    kernels: Vec<String>,
    /// Show the guest's console while it runs
    #[arg(long, short)]
    verbose: bool,
    /// Try this agent instead of building one
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure(For::Vm)?;
    try_all(args)
}

/// All kernels, with the agent that is built already: the part of `cargo xtask test`.
pub(crate) fn all() -> Result<()> {
    try_all(&Args {
        kernels: Vec::new(),
        verbose: false,
        agent: Some(target().join(BUILT)),
    })
}

fn try_all(args: &Args) -> Result<()> {
    let wanted = &args.kernels;
    let kernels: Vec<&Kernel> = KERNELS
        .iter()
        .filter(|kernel| wanted.is_empty() || wanted.iter().any(|name| name == kernel.series))
        .collect();
    if kernels.is_empty() || kernels.len() < wanted.len() {
        let known: Vec<_> = KERNELS.iter().map(|kernel| kernel.series).collect();
        bail!("no such kernel; there are {}", known.join(", "));
    }
    let agent = match &args.agent {
        Some(path) => path.clone(),
        None => build_agent()?,
    };
    let failed: Vec<&str> = kernels
        .into_iter()
        .filter(|kernel| !passes(kernel, &agent, args.verbose))
        .map(|kernel| kernel.series)
        .collect();
    if !failed.is_empty() {
        bail!("failed under Linux {}", failed.join(", "));
    }
    Ok(())
}

fn build_agent() -> Result<PathBuf> {
    run_it(&mut cargo(["build", "--package", "tracer"]))?;
    Ok(target().join(BUILT))
}

fn passes(kernel: &Kernel, agent: &Path, verbose: bool) -> bool {
    let start = Instant::now();
    let outcome = try_one(kernel, agent, verbose);
    let took = start.elapsed().as_secs_f64();
    match outcome {
        Ok(count) => println!(
            "Linux {}: {count} passed, 0 failed ({took:.0} s)",
            kernel.series
        ),
        Err(ref error) => println!(
            "Linux {}: FAILED after {took:.0} s: {error:#}",
            kernel.series
        ),
    }
    outcome.is_ok()
}

/// Boots one kernel and returns how many checks passed in it.
fn try_one(kernel: &Kernel, agent: &Path, verbose: bool) -> Result<usize> {
    let place = target().join("vm").join(kernel.series);
    fs::create_dir_all(&place)?;
    let booted = kernel.fetch(&place).context("fetching the kernel")?;
    let initramfs = initramfs::pack(&place, &booted, agent).context("packing the initramfs")?;
    let report = qemu::boot(&place, &booted.image, &initramfs, verbose)?;
    report.judge(kernel.series)
}
