//! From the sources of the kernel programs to objects in which no path of this machine is left.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::toolchain::{BOOTSTRAP, EbpfToolchain};
use crate::process::{command, output, root, run, target};

/// The machine that the programs are for, and of which the host's programs are no part.
const TARGET: &str = "bpfel-unknown-none";
/// Of this processor's registers the programs read none: one object serves every little-endian machine.
pub(crate) const REGISTERS: &str = "--cfg=bpf_target_arch=\"x86_64\"";
/// What is copied or cleared is so word by word, where it stands: else by a call that goes from byte to byte.
const IN_PLACE: &str = "-Clink-arg=--disable-expand-memcpy-in-order";
/// The profile's, said here, since the agent's own may change. What runs while it is compiled is not optimised.
const PROFILE: [&str; 7] = [
    "opt-level=3",
    "lto=\"fat\"",
    "codegen-units=1",
    "debug=2",
    "panic=\"unwind\"",
    "package.tracer-ebpf.debug=2",
    "package.tracer-ebpf.opt-level=3",
];

/// Builds all programs and returns the folder that they are in.
pub(super) fn all(toolchain: &EbpfToolchain) -> Result<PathBuf> {
    let folder = target().join("ebpf");
    let mut build = cargo_of(toolchain, "build");
    build
        .args(["--quiet", "--package", "tracer-ebpf", "--bins", "--release"])
        .arg("--target-dir")
        .arg(&folder)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(toolchain)?.join("\x1f"));
    for setting in PROFILE {
        build.args(["--config", &format!("profile.release.{setting}")]);
    }
    run(&mut build)?;
    Ok(folder.join(TARGET).join("release"))
}

/// A command of the toolchain's own cargo, for the programs' machine.
pub(crate) fn cargo_of(toolchain: &EbpfToolchain, subcommand: &str) -> Command {
    let mut cargo = command("rustup", ["run", &toolchain.name, "cargo", subcommand]);
    cargo
        .current_dir(root())
        .args(["--target", TARGET, "-Z", "build-std=core"]);
    if toolchain.stable {
        cargo.env(BOOTSTRAP, "1");
    }
    // This process runs under cargo, whose word about the compiler must not reach another toolchain.
    for name in [
        "RUSTC",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTUP_TOOLCHAIN",
        "CARGO",
    ] {
        cargo.env_remove(name);
    }
    cargo
}

/// What the compiler is told: types for the kernel, and other names for folders.
fn flags(toolchain: &EbpfToolchain) -> Result<Vec<String>> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .context("no home of cargo")?;
    let mut flags = vec![
        REGISTERS.to_owned(),
        "-Clink-arg=--btf".to_owned(),
        IN_PLACE.to_owned(),
    ];
    let mut renamed = |from: &Path, to: &str| {
        flags.push(format!("--remap-path-prefix={}={to}", from.display()));
    };
    renamed(root(), ".");
    // Below it lies one folder for each registry's address.
    for registry in fs::read_dir(home.join("registry/src"))? {
        renamed(&registry?.path(), "registry");
    }
    renamed(&toolchain.library()?, "rust");
    Ok(flags)
}

/// The object without what only a debugger reads: the kernel takes its types from BTF.
pub(super) fn stripped(toolchain: &EbpfToolchain, object: &Path) -> Result<Vec<u8>> {
    let smaller = object.with_extension("o");
    let mut strip = command(toolchain.objcopy()?, ["--strip-debug"]);
    output(strip.arg(object).arg(&smaller))?;
    Ok(fs::read(smaller)?)
}
