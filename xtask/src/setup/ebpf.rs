//! The toolchain of the kernel half, in the second of two ways: where there is no nightly with
//! `rust-src` and no `bpf-linker`, Debian's compiler with its own matching library source, and a
//! `bpf-linker` built against the same LLVM.

use anyhow::{Context as _, Result};

use crate::{
    ebpf::toolchain::{EbpfToolchain, LINKED, LLVM_PREFIX, bpf_linker},
    process::{cargo, command, run, succeeds},
    setup::{
        For,
        apt::{install, is_installed},
        say,
    },
};

const COMPILER: &[&str] = &["rustc-web", "cargo-web", "rust-web-src"];
/// What `bpf-linker` links with. Its LLVM is the compiler's.
const LLVM: &[&str] = &[
    "llvm-22",
    "llvm-22-dev",
    "libpolly-22-dev",
    "libzstd-dev",
    "zlib1g-dev",
    "libxml2-dev",
    "g++",
];
const LINKER_VERSION: &str = "0.13.0";

/// Debian's packages that are missing for building the kernel programs: none where a toolchain
/// is already complete.
pub(crate) fn missing_packages() -> Vec<&'static str> {
    if EbpfToolchain::find().is_ok() {
        return Vec::new();
    }
    let linker = bpf_linker().map_or(LLVM, |_| &[]);
    COMPILER
        .iter()
        .chain(linker)
        .copied()
        .filter(|package| !is_installed(package))
        .collect()
}

/// Completes the toolchain once the packages are there; returns the number of steps taken.
pub(crate) fn ensure(purpose: For) -> Result<usize> {
    let mut steps = 0;
    if EbpfToolchain::find().is_err() {
        steps += link()?;
        if bpf_linker().is_none() {
            say("building bpf-linker (about a minute)");
            run(cargo([
                "install",
                "bpf-linker",
                "--version",
                LINKER_VERSION,
                "--locked",
            ])
            .args(["--no-default-features", "--features", "llvm-22"])
            .env("LLVM_PREFIX", LLVM_PREFIX))?;
            steps += 1;
        }
    }
    let found = EbpfToolchain::find()
        .map_err(anyhow::Error::msg)
        .context("set-up is done and yet")?;
    if purpose == For::Test {
        steps += clippy(&found)?;
    }
    Ok(steps)
}

/// Debian's compiler, known to rustup: it has the standard libraries of other processors too.
pub(crate) fn debians_compiler() -> Result<()> {
    let missing: Vec<&str> = COMPILER
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect();
    install(&missing)?;
    link().map(drop)
}

fn link() -> Result<usize> {
    if EbpfToolchain::probe(LINKED).is_some() {
        return Ok(0);
    }
    say("making Debian's compiler known to rustup as `ebpf`");
    run(&mut command(
        "rustup",
        ["toolchain", "link", LINKED, "/usr"],
    ))?;
    Ok(1)
}

/// Clippy for the kernel half has to be that toolchain's own.
fn clippy(toolchain: &EbpfToolchain) -> Result<usize> {
    let name = toolchain.name.as_str();
    if succeeds(&mut command(
        "rustup",
        ["run", name, "cargo-clippy", "--version"],
    )) {
        return Ok(0);
    }
    if name == LINKED {
        return install(&["rust-web-clippy"]);
    }
    say(&format!("adding clippy to the toolchain {name}"));
    run(&mut command(
        "rustup",
        ["component", "add", "clippy", "--toolchain", name],
    ))?;
    Ok(1)
}
