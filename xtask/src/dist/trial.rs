//! The packages, installed where nothing else is: in a root of their own.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

use super::{VERSION, deb, fresh, rpm};
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
    let made = super::made(Arch::OWN);
    let usual = deb::file(Arch::OWN, &made);
    let package = args.package.clone().unwrap_or(usual);
    if args.vm {
        setup::ensure(For::Vm)?;
        let passed = installed::run_with(&package, args.verbose)?;
        println!("{passed} passed, 0 failed");
        return Ok(());
    }
    let place = target().join("install-root");
    fresh(&place)?;
    let tried = try_in(&place, &package, &rpm::file(Arch::OWN, &made));
    fs::remove_dir_all(&place)?;
    tried
}

/// Installs and removes each kind of package.
fn try_in(place: &Path, debian: &Path, fedora: &Path) -> Result<()> {
    let mut bootstrap = command("debootstrap", ["--variant=minbase", "bookworm"]);
    run_it(bootstrap.arg(place))?;
    fs::copy(debian, place.join("package.deb")).context("run `cargo xtask dist` first")?;
    inside(place, &["dpkg", "--install", "/package.deb"])?;
    answers(place)?;
    let changed = inside(place, &["dpkg", "--verify", "tds-tracer"])?;
    ensure!(changed.is_empty(), "not as packaged: {changed}");
    as_enabled(place)?;
    inside(place, &["dpkg", "--purge", "tds-tracer"])?;
    nothing_is_left(place)?;
    println!("the Debian package: installed, asked, verified and purged");

    by_rpm(place, &["--initdb"])?;
    // What Debian has installed it knows nothing of.
    let mut install = with_root("rpm", place);
    install.args(["--force-debian", "--nodeps", "--install"]);
    output(install.arg(fedora))?;
    answers(place)?;
    let changed = by_rpm(place, &["--verify", "--nodeps", "tds-tracer"])?;
    ensure!(changed.is_empty(), "not as packaged: {changed}");
    by_rpm(place, &["--force-debian", "--erase", "tds-tracer"])?;
    nothing_is_left(place)?;
    println!("the rpm: installed, asked, verified and erased");
    Ok(())
}

/// What is installed says what it is, and that its configuration is right.
fn answers(place: &Path) -> Result<()> {
    for (words, said) in [
        (&["tds-tracer", "--version"][..], VERSION),
        (
            &["tds-tracer", "config", "check"],
            "/etc/tds-tracer/config.toml: right",
        ),
        (&["tds-tracer", "config", "show"], "login-bytes = "),
    ] {
        let text = inside(place, words)?;
        let line = words.join(" ");
        ensure!(
            text.contains(said),
            "`{line}` does not say `{said}`: {text}"
        );
    }
    Ok(())
}

/// What is there once somebody has enabled the unit, and added to it.
fn as_enabled(place: &Path) -> Result<()> {
    let units = place.join("etc/systemd/system");
    let wanted = units.join("multi-user.target.wants");
    let added = units.join("tds-tracer.service.d");
    fs::create_dir_all(&wanted)?;
    fs::create_dir_all(&added)?;
    let unit = "/usr/lib/systemd/system/tds-tracer.service";
    symlink(unit, wanted.join("tds-tracer.service"))?;
    let examples = place.join("usr/share/doc/tds-tracer/examples");
    fs::copy(examples.join("network.conf"), added.join("network.conf"))?;
    Ok(())
}

/// No file is called as the agent is, but for what package managers note.
fn nothing_is_left(place: &Path) -> Result<()> {
    let mut find = command("find", [place]);
    let left = output(find.args(["-xdev", "-name", "*tds-tracer*"]))?;
    ensure!(left.is_empty(), "left behind: {left}");
    Ok(())
}

fn by_rpm(place: &Path, words: &[&str]) -> Result<String> {
    output(with_root("rpm", place).args(words))
}

fn with_root(program: &str, place: &Path) -> Command {
    let mut command = command(program, ["--root"]);
    command.arg(place);
    command
}

fn inside(place: &Path, words: &[&str]) -> Result<String> {
    let mut chroot = command("chroot", [place]);
    output(
        chroot
            .args(words)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
    )
}
