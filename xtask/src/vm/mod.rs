//! The agent under other kernels than this machine's: Debian's own, booted in an emulator from an
//! initramfs that holds busybox, the agent, and this program as the guest.

pub(crate) mod guest;
mod initramfs;
pub(crate) mod installed;
mod kernels;
mod qemu;
mod tds;
mod userland;

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use crate::{
    arch::Arch,
    beside::Beside,
    cross,
    process::{cargo, command, run as run_it, target},
    setup::{self, For},
    vm::{
        initramfs::Programs,
        kernels::{KERNELS, Kernel},
        qemu::Guest,
        userland::Userland,
    },
};

/// The agent, below the target directory.
const BUILT: &str = "debug/tds-tracer";

/// Options of `vm`.
#[derive(Parser)]
pub(crate) struct Args {
    /// Only these kernels: 5.10, 6.1, 6.12; all of them when none is named
    kernels: Vec<String>,
    /// For which processor
    #[arg(long, value_enum, default_value_t = Arch::OWN)]
    arch: Arch,
    /// Show the guest's console while it runs
    #[arg(long, short)]
    verbose: bool,
    /// Try this agent instead of building one
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure(For::Vm)?;
    setup::ensure_arch(args.arch)?;
    try_all(args)
}

/// Begins to try all kernels, with the agent that is built already: the part of `cargo xtask test`.
pub(crate) fn beside() -> Result<Beside> {
    let mut vm = command(own(), ["vm", "--agent"]);
    Beside::start("kernels", vm.arg(target().join(BUILT)))
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
    let programs = programs(args)?;
    let userland = Userland::of(args.arch, &place_of(args.arch, ""))?;
    let failed: Vec<&str> = kernels
        .into_iter()
        .filter(|kernel| !passes(kernel, &programs, &userland, args.verbose))
        .map(|kernel| kernel.series)
        .collect();
    if !failed.is_empty() {
        bail!("failed under Linux {}", failed.join(", "));
    }
    Ok(())
}

/// This program, by its process, since a build may have replaced the file meanwhile.
fn own() -> PathBuf {
    PathBuf::from(format!("/proc/{}/exe", std::process::id()))
}

/// What the guest runs: the agent and this program; for another processor both are built for that.
fn programs(args: &Args) -> Result<Programs> {
    let arch = args.arch;
    let (agent, guest) = if arch.is_own() {
        if args.agent.is_none() {
            run_it(&mut cargo(["build", "--package", "tracer"]))?;
        }
        (target().join(BUILT), own())
    } else {
        let folder = target().join("arch");
        let flags = ["-Ctarget-feature=+crt-static".to_owned()];
        let mut build = cross::build(arch, &["build"], &flags, &folder)?;
        build.args(["--package", "xtask", "--bins"]);
        if args.agent.is_none() {
            build.args(["--package", "tracer"]);
        }
        run_it(&mut build)?;
        let below = folder.join(arch.triple());
        (below.join(BUILT), below.join("debug/xtask"))
    };
    Ok(Programs {
        arch,
        agent: args.agent.clone().unwrap_or(agent),
        guest,
    })
}

fn passes(kernel: &Kernel, programs: &Programs, userland: &Userland, verbose: bool) -> bool {
    let start = Instant::now();
    let outcome = try_one(kernel, programs, userland, verbose);
    let took = start.elapsed().as_secs_f64();
    let name = format!("Linux {}, {}", kernel.series, programs.arch.debian());
    match outcome {
        Ok(count) => println!("{name}: {count} passed, 0 failed ({took:.0} s)"),
        Err(ref error) => println!("{name}: FAILED after {took:.0} s: {error:#}"),
    }
    outcome.is_ok()
}

/// Boots one kernel and returns how many checks passed in it.
fn try_one(
    kernel: &Kernel,
    programs: &Programs,
    userland: &Userland,
    verbose: bool,
) -> Result<usize> {
    let arch = programs.arch;
    let place = place_of(arch, kernel.series);
    fs::create_dir_all(&place)?;
    let booted = kernel.fetch(arch, &place).context("fetching the kernel")?;
    let initramfs =
        initramfs::pack(&place, &booted, programs, userland).context("packing the initramfs")?;
    let guest = Guest {
        arch,
        image: &booted.image,
        initramfs: &initramfs,
        disk: None,
    };
    let report = qemu::boot(&place, &guest, verbose)?;
    report.judge(kernel.series)
}

/// Where what a kernel takes is kept.
fn place_of(arch: Arch, series: &str) -> PathBuf {
    let vm = target().join("vm");
    let all = if arch.is_own() {
        vm
    } else {
        vm.join(arch.debian())
    };
    all.join(series)
}
