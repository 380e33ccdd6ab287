//! The agent under other kernels than this machine's: Debian's own, booted in an emulator from an
//! initramfs that holds busybox, the agent, and this program as the guest.

pub(crate) mod guest;
mod initramfs;
mod kernels;
mod qemu;
mod tds;

use std::{fs, time::Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use crate::{
    process::{cargo, run as run_it, target},
    setup::{self, For},
    vm::kernels::{KERNELS, Kernel},
};

/// Options of `vm`.
#[derive(Parser)]
pub(crate) struct Args {
    /// Only these kernels: 5.10, 6.1, 6.12; all of them when none is named
    kernels: Vec<String>,
    /// Show the guest's console while it runs
    #[arg(long, short)]
    verbose: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure(For::Vm)?;
    try_all(&args.kernels, args.verbose)
}

/// All kernels, once set up: the part of `cargo xtask test`.
pub(crate) fn all() -> Result<()> {
    try_all(&[], false)
}

fn try_all(wanted: &[String], verbose: bool) -> Result<()> {
    let kernels: Vec<&Kernel> = KERNELS
        .iter()
        .filter(|kernel| wanted.is_empty() || wanted.iter().any(|name| name == kernel.series))
        .collect();
    if kernels.is_empty() || kernels.len() < wanted.len() {
        let known: Vec<_> = KERNELS.iter().map(|kernel| kernel.series).collect();
        bail!("no such kernel; there are {}", known.join(", "));
    }
    run_it(&mut cargo(["build", "--package", "tracer"]))?;
    let failed: Vec<&str> = kernels
        .into_iter()
        .filter(|kernel| !passes(kernel, verbose))
        .map(|kernel| kernel.series)
        .collect();
    if !failed.is_empty() {
        bail!("failed under Linux {}", failed.join(", "));
    }
    Ok(())
}

fn passes(kernel: &Kernel, verbose: bool) -> bool {
    let start = Instant::now();
    let outcome = try_one(kernel, verbose);
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
fn try_one(kernel: &Kernel, verbose: bool) -> Result<usize> {
    let place = target().join("vm").join(kernel.series);
    fs::create_dir_all(&place)?;
    let booted = kernel.fetch(&place).context("fetching the kernel")?;
    let initramfs = initramfs::pack(&place, &booted).context("packing the initramfs")?;
    let report = qemu::boot(&place, &booted.image, &initramfs, verbose)?;
    report.judge(kernel.series)
}
