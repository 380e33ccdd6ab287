//! The Debian package, installed where nothing else is: in a root of its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use super::{VERSION, deb, fresh};
use crate::{
    arch::Arch,
    host,
    process::{command, output, run as run_it, target},
    setup::{self, For},
    vm::installed,
};

/// Options of `install-trial`.
#[derive(Parser)]
pub(crate) struct Args {
    /// The package, instead of the one that `dist` has made
    #[arg(long, value_name = "FILE")]
    package: Option<PathBuf>,
    /// In a Debian 12 with systemd, in an emulator: started, hindered and upgraded too
    #[arg(long)]
    vm: bool,
    /// Show the guest's console while it runs
    #[arg(long, short, requires = "vm")]
    verbose: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    host::require_root("a root of its own")?;
    setup::ensure(For::Dist)?;
    let usual = deb::file(Arch::OWN, &super::made(Arch::OWN));
    let package = args.package.clone().unwrap_or(usual);
    if args.vm {
        setup::ensure(For::Vm)?;
        let passed = installed::run_with(&package, args.verbose)?;
        println!("{passed} passed, 0 failed");
        return Ok(());
    }
    let place = target().join("install-root");
    fresh(&place)?;
    let tried = try_in(&place, &package);
    fs::remove_dir_all(&place)?;
    tried
}

fn try_in(place: &Path, package: &Path) -> Result<()> {
    let mut bootstrap = command("debootstrap", ["--variant=minbase", "bookworm"]);
    run_it(bootstrap.arg(place))?;
    fs::copy(package, place.join("package.deb")).context("run `cargo xtask dist` first")?;
    inside(place, &["dpkg", "--install", "/package.deb"])?;
    for (words, said) in [
        (&["tds-tracer", "--version"][..], VERSION),
        (
            &["tds-tracer", "config", "check"],
            "/etc/tds-tracer/config.toml: right",
        ),
        (&["tds-tracer", "config", "show"], "login-bytes = "),
    ] {
        let text = inside(place, words)?;
        if !text.contains(said) {
            bail!("`{}` does not say `{said}`: {text}", words.join(" "));
        }
    }
    let changed = inside(place, &["dpkg", "--verify", "tds-tracer"])?;
    if !changed.is_empty() {
        bail!("not as packaged: {changed}");
    }
    inside(place, &["dpkg", "--purge", "tds-tracer"])?;
    for left in [
        "usr/bin/tds-tracer",
        "etc/tds-tracer",
        "usr/lib/systemd/system/tds-tracer.service",
    ] {
        if place.join(left).exists() {
            bail!("/{left} is left behind");
        }
    }
    println!("installed, asked, verified and purged");
    Ok(())
}

fn inside(place: &Path, words: &[&str]) -> Result<String> {
    let mut chroot = command("chroot", [place]);
    output(
        chroot
            .args(words)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
    )
}
