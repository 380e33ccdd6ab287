//! What is handed out: a static binary, packages of it for Debian and Fedora and their kin, an image, and what proves
//! that they are what they say.
//!
//! The same sources give the same bytes: every time in them is the last commit's, every owner root, every order by name.

mod build;
mod deb;
mod held;
mod oci;
mod rpm;
mod sbom;
mod stage;
mod trial;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};
use clap::Parser;

pub(crate) use self::trial::{Args as InstallArgs, run as install};
use self::{build::Built, stage::Stage};
use crate::{
    arch::Arch,
    process::{command, output, root, target},
    setup::{self, For},
};

/// How packages are packed.
#[derive(Clone, Copy)]
enum Packed {
    /// As small as it gets: what is handed out.
    Small,
    /// Quickly: what is only looked into.
    Soon,
}

/// Options of `dist`.
#[derive(Parser)]
pub(crate) struct Args {
    /// For which processor
    #[arg(long, value_enum, default_value_t = Arch::OWN)]
    arch: Arch,
    /// Only the packages of the agent that the tests run with, and what is in them
    #[arg(long)]
    brief: bool,
    /// Package this agent, whatever it is, instead of building one
    #[arg(long, value_name = "PATH", conflicts_with = "twice")]
    agent: Option<PathBuf>,
    /// Do it twice, in two folders, and fail where the two differ
    #[arg(long)]
    twice: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.brief {
        return briefly();
    }
    setup::ensure(For::Dist)?;
    setup::ensure_arch(args.arch)?;
    let made = made(args.arch);
    let folder = target().join("dist-build");
    let built = match &args.agent {
        Some(agent) => build::given(agent, args.arch, &folder)?,
        None => build::all(args.arch, &folder)?,
    };
    make(&built, &made)?;
    if args.twice {
        let again = target().join("dist-again");
        let folder = target().join("dist-build-again");
        make(&build::all(args.arch, &folder)?, &again)?;
        same(&made, &again)?;
        println!("both are the same, byte by byte");
    }
    Ok(())
}

/// Where what is handed out for a processor lies.
fn made(arch: Arch) -> PathBuf {
    target().join("dist").join(arch.debian())
}

/// Hands out what was built.
fn make(built: &Built, into: &Path) -> Result<()> {
    fresh(into)?;
    let arch = built.arch;
    let stage = Stage::new(&built.agent, arch, &into.join("stage"))?;
    let files = [
        built.keep(into)?,
        built.keep_debug(into)?,
        deb::pack(&stage, arch, into, Packed::Small)?,
        rpm::pack(&stage, arch, into, Packed::Small)?,
        oci::pack(&built.agent, arch, into)?,
        sbom::write(arch, into)?,
    ];
    fs::remove_dir_all(into.join("stage"))?;
    deb::check(&deb::file(arch, into), arch, &built.agent)?;
    rpm::check(&rpm::file(arch, into), arch, &built.agent)?;
    let mut sums = command(
        "sha256sum",
        files.iter().filter_map(|file| file.file_name()),
    );
    let sums = output(sums.current_dir(into))?;
    fs::write(into.join("SHA256SUMS"), &sums)?;
    print!("{sums}");
    Ok(())
}

/// What `cargo xtask test` has time for: the packages of the agent that the tests ran with, and what is in them.
pub(crate) fn briefly() -> Result<()> {
    let into = brief();
    fresh(&into)?;
    let built = target().join("debug/tds-tracer");
    let arch = Arch::OWN;
    let agent = build::stripped(&built, arch, &into)?;
    let stage = Stage::new(&agent, arch, &into.join("stage"))?;
    let package = deb::pack(&stage, arch, &into, Packed::Soon)?;
    deb::check(&package, arch, &agent)?;
    let package = rpm::pack(&stage, arch, &into, Packed::Soon)?;
    rpm::check(&package, arch, &agent)?;
    fs::remove_dir_all(into.join("stage"))?;
    Ok(())
}

fn brief() -> PathBuf {
    target().join("dist-brief")
}

fn fresh(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(fs::create_dir_all(folder)?)
}

/// Fails where two folders differ.
fn same(one: &Path, other: &Path) -> Result<()> {
    let sums = |folder: &Path| fs::read_to_string(folder.join("SHA256SUMS"));
    let (one, other) = (sums(one)?, sums(other)?);
    let differing: Vec<&str> = one
        .lines()
        .filter(|line| !other.lines().any(|other| other == *line))
        .collect();
    if !differing.is_empty() {
        bail!("these differ the second time:\n{}", differing.join("\n"));
    }
    Ok(())
}

/// The time that everything is of: the last commit's, seconds since 1970.
fn epoch() -> Result<String> {
    let mut git = command("git", ["log", "-1", "--format=%ct"]);
    Ok(output(git.current_dir(root()))?.trim().to_owned())
}

/// The agent's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A file's name in a folder, which it has there.
fn named(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}
