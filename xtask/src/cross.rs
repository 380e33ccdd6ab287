//! A `cargo` that builds for a processor, this machine's or another.
//!
//! The standard library of another one than this machine's comes by `rustup target add`, or, where rustup cannot fetch
//! it, from Debian, which has it for its own compiler.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{
    arch::Arch,
    debian::Apt,
    ebpf::toolchain::LINKED,
    process::{cargo, command, output, root, run, target},
    setup,
};

/// The compiler of Debian's, and its standard library.
const COMPILER: &str = "rustc-web";
const LIBRARY: &str = "libstd-rust-web-dev";

/// cargo's `subcommand`, which builds, of what gives programs for it, with the compiler's `flags`, below `folder`.
pub(crate) fn build(
    arch: Arch,
    subcommand: &[&str],
    flags: &[String],
    folder: &Path,
) -> Result<Command> {
    let mut flags = flags.to_vec();
    let mut build = if arch.is_own() || has_library(arch)? {
        cargo(subcommand)
    } else {
        flags.push(format!("--sysroot={}", library(arch)?.display()));
        let mut build = command("rustup", ["run", LINKED, "cargo"]);
        build.args(subcommand).current_dir(root());
        build
    };
    if !arch.is_own() {
        let name = arch.triple().replace('-', "_").to_uppercase();
        let linker = format!("{}-linux-gnu-gcc", arch.rpm());
        build.env(format!("CARGO_TARGET_{name}_LINKER"), linker);
    }
    build
        .args(["--target", arch.triple(), "--target-dir"])
        .arg(folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    Ok(build)
}

/// Debian's standard library for it, unpacked where a compiler looks for one.
fn library(arch: Arch) -> Result<PathBuf> {
    setup::debians_compiler()?;
    let version = output(&mut command(
        "dpkg-query",
        ["--show", "--showformat=${Version}", COMPILER],
    ))?;
    let place = target().join("arch").join(arch.debian());
    let library = place.join(&version);
    if !library.is_dir() {
        let apt = Apt::new(&place.join("apt"), &["bookworm", "bookworm-security"], arch)?;
        let package = apt.download(&format!("{LIBRARY}={version}"))?;
        let half_done = place.join("unpacking");
        let mut unpack = command("dpkg-deb", ["--extract"]);
        run(unpack.arg(package).arg(&half_done))?;
        fs::rename(half_done, &library)?;
        apt.remove()?;
    }
    Ok(library.join("usr"))
}

/// Whether cargo's own compiler has the standard library for it.
fn has_library(arch: Arch) -> Result<bool> {
    let root = output(command("rustc", ["--print", "sysroot"]).current_dir(root()))?;
    let library = Path::new(root.trim())
        .join("lib/rustlib")
        .join(arch.triple())
        .join("lib");
    Ok(library.is_dir())
}
