//! Installs what is missing, by probing for the things themselves: no stamp to go stale.

mod apt;
mod ebpf;
mod needs;

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};

pub(crate) use self::ebpf::debians_compiler;
use crate::{
    arch::Arch,
    peers,
    process::{cargo, command, run as run_it, succeeds},
    setup::needs::Need,
};

/// What is about to be run, and so what has to be there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum For {
    /// Compiling the agent
    Build,
    /// `cargo xtask ebpf`: compiling the kernel programs
    Ebpf,
    /// `cargo xtask demo`
    Demo,
    /// `cargo xtask dist`
    Dist,
    /// `cargo xtask vm`
    Vm,
    /// `--arch arm64` of `dist` and `vm`
    Arm64,
    /// `cargo xtask test`
    Test,
    /// `cargo xtask eyes`: a browser
    Eyes,
}

/// Options of `setup`.
#[derive(Parser)]
pub(crate) struct Args {
    /// Install only what this command needs
    #[arg(long = "for", value_enum, default_value = "test")]
    purpose: For,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure(args.purpose)
}

/// Makes sure that all that `purpose` needs is installed, saying each step before it is taken.
pub(crate) fn ensure(purpose: For) -> Result<()> {
    let kernel_half = matches!(purpose, For::Ebpf | For::Test);
    if kernel_half && !succeeds(&mut command("rustup", ["--version"])) {
        bail!("rustup is missing: the kernel programs need a second toolchain beside the first");
    }
    let mut packages: Vec<&str> = needs::ALL
        .iter()
        .filter(|need| need.wanted_for(purpose) && !need.is_there())
        .flat_map(Need::packages)
        .copied()
        .collect();
    if kernel_half {
        packages.extend(ebpf::missing_packages());
    }
    packages.sort_unstable();
    packages.dedup();
    let mut steps = apt::install(&packages)?;
    if kernel_half {
        steps += ebpf::ensure(purpose)?;
    }
    if purpose == For::Test {
        steps += components()?;
        steps += cargo_deny()? + cargo_fuzz()?;
    }
    if purpose == For::Dist {
        steps += cargo_auditable()?;
    }
    if steps == 0 {
        eprintln!("set-up: nothing to install");
    }
    if purpose == For::Test {
        peers::install_clients()?;
    }
    Ok(())
}

/// What programs for that processor take here, where it is another one.
pub(crate) fn ensure_arch(arch: Arch) -> Result<()> {
    if arch == Arch::Arm64 && !arch.is_own() {
        return ensure(For::Arm64);
    }
    Ok(())
}

/// Says a step, numbered by nothing but its order on the screen.
pub(crate) fn say(step: &str) {
    eprintln!("set-up: {step}");
}

/// A rustup installed with the minimal profile has neither.
fn components() -> Result<usize> {
    let mut steps = 0;
    for (name, probe) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if !succeeds(&mut cargo([probe, "--version"])) {
            say(&format!("adding rustup's component {name}"));
            run_it(&mut command("rustup", ["component", "add", name]))?;
            steps += 1;
        }
    }
    Ok(steps)
}

fn cargo_deny() -> Result<usize> {
    cargo_tool("deny", "0.20.2", "checks licences and duplicates")
}

fn cargo_auditable() -> Result<usize> {
    let purpose = "has a program say which packages are in it";
    cargo_tool("auditable", "0.7.7", purpose)
}

/// What `cargo xtask fuzz` runs.
pub(crate) fn cargo_fuzz() -> Result<usize> {
    cargo_tool("fuzz", "0.13.2", "drives the fuzz targets")
}

/// A subcommand of cargo, built where it is missing: as it is built soonest, since it runs for seconds only.
fn cargo_tool(name: &str, version: &str, purpose: &str) -> Result<usize> {
    if succeeds(&mut cargo([name, "--version"])) {
        return Ok(0);
    }
    let package = format!("cargo-{name}");
    say(&format!(
        "building {package}, which {purpose} (a few minutes)"
    ));
    run_it(&mut cargo([
        "install",
        &package,
        "--version",
        version,
        "--locked",
        "--debug",
    ]))?;
    Ok(1)
}
