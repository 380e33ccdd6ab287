//! Builds the kernel programs and places the object where the agent embeds it from:
//! `$OUT_DIR/tds-programs`, and beside it `tds-trials`, which only tests and benches load. `AYA_BUILD_SKIP=1` leaves an empty file there, which compiles but
//! does not load.

mod toolchain;

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail};
use aya_build::{Package, Toolchain};

use crate::toolchain::{BOOTSTRAP, EbpfToolchain, OVERRIDE};

/// Set in the second run of this script: the toolchain that the first one chose.
const CHOSEN: &str = "TDS_TRACER_BUILD_WITH";

fn main() -> ExitCode {
    if let Err(error) = run() {
        println!("cargo::error={error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run() -> Result<()> {
    if let Ok(name) = env::var(CHOSEN) {
        return build(&name);
    }
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-env-changed={OVERRIDE}");
    println!("cargo:rerun-if-env-changed=AYA_BUILD_SKIP");
    if env::var("AYA_BUILD_SKIP").is_ok_and(|v| v == "1" || v.eq_ignore_ascii_case("true")) {
        return place_nothing();
    }
    run_again(&EbpfToolchain::find().map_err(anyhow::Error::msg)?)
}

/// `aya-build` decides by its own environment whether `-Z build-std` may be used, and an
/// environment is only changed safely from outside: so this script runs itself once more, and
/// leaves out of cargo's warnings what is only progress.
fn run_again(with: &EbpfToolchain) -> Result<()> {
    let script = env::current_exe().context("the build script's own path")?;
    let mut command = Command::new(script);
    command.env(CHOSEN, &with.name).stdout(Stdio::piped());
    if with.stable {
        command.env(BOOTSTRAP, "1");
    }
    let mut child = command.spawn().context("running the build script again")?;
    let output = child.stdout.take().context("its output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        if !is_progress(&line) {
            println!("{line}");
        }
    }
    if !child.wait()?.success() {
        bail!(
            "the kernel programs do not build with toolchain {}",
            with.name
        );
    }
    Ok(())
}

fn is_progress(line: &str) -> bool {
    line.strip_prefix("cargo:warning=").is_some_and(|text| {
        let first = text.split_whitespace().next();
        first.is_none_or(|word| {
            [
                "Compiling",
                "Finished",
                "Locking",
                "Adding",
                "Downloading",
                "Downloaded",
                "Blocking",
            ]
            .contains(&word)
        })
    })
}

fn build(toolchain: &str) -> Result<()> {
    let package = Package {
        name: "tracer-ebpf",
        root_dir: concat!(env!("CARGO_MANIFEST_DIR"), "/../tracer-ebpf"),
        ..Package::default()
    };
    aya_build::build_ebpf([package], Toolchain::Custom(toolchain))
}

fn place_nothing() -> Result<()> {
    let out = env::var_os("OUT_DIR").context("OUT_DIR is not set")?;
    for object in ["tds-programs", "tds-trials"] {
        fs::write(Path::new(&out).join(object), []).context("placing an empty object")?;
    }
    Ok(())
}
