//! The processors that the agent is for, and a `cargo` that builds for each of them.
//!
//! The standard library of another one than this machine's comes by `rustup target add`, or, where rustup cannot fetch
//! it, from Debian, which has it for its own compiler.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    debian::Apt,
    ebpf::toolchain::LINKED,
    process::{cargo, command, output, root, run, target},
    setup,
};

/// The compiler of Debian's, and its standard library.
const COMPILER: &str = "rustc-web";
const LIBRARY: &str = "libstd-rust-web-dev";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    #[value(name = "x86-64")]
    X86_64,
    Arm64,
}

impl Arch {
    /// This machine's.
    pub(crate) const OWN: Self = if cfg!(target_arch = "aarch64") {
        Self::Arm64
    } else {
        Self::X86_64
    };

    pub(crate) fn is_own(self) -> bool {
        self == Self::OWN
    }

    /// Rust's name.
    pub(crate) const fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// Debian's name, which is also the image's.
    pub(crate) const fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Fedora's name, which is also the kernel's.
    pub(crate) const fn rpm(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// One of the tools that work on programs for it.
    pub(crate) fn tool(self, name: &str) -> Command {
        if self.is_own() {
            return Command::new(name);
        }
        Command::new(format!("{}-linux-gnu-{name}", self.rpm()))
    }

    /// `cargo build` of what gives programs for it, with the compiler's `flags`, below `folder`.
    pub(crate) fn build(self, flags: &[String], folder: &Path) -> Result<Command> {
        let mut flags = flags.to_vec();
        let mut build = if self.is_own() || has_library(self)? {
            cargo(["build"])
        } else {
            flags.push(format!("--sysroot={}", self.library()?.display()));
            let mut build = command("rustup", ["run", LINKED, "cargo", "build"]);
            build.current_dir(root());
            build
        };
        if !self.is_own() {
            let name = self.triple().replace('-', "_").to_uppercase();
            let linker = format!("{}-linux-gnu-gcc", self.rpm());
            build.env(format!("CARGO_TARGET_{name}_LINKER"), linker);
        }
        build
            .args(["--target", self.triple(), "--target-dir"])
            .arg(folder)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        Ok(build)
    }

    /// Debian's standard library for it, unpacked where a compiler looks for one.
    fn library(self) -> Result<PathBuf> {
        setup::debians_compiler()?;
        let version = output(&mut command(
            "dpkg-query",
            ["--show", "--showformat=${Version}", COMPILER],
        ))?;
        let place = target().join("arch").join(self.debian());
        let library = place.join(&version);
        if !library.is_dir() {
            let apt = Apt::new(&place.join("apt"), &["bookworm", "bookworm-security"], self)?;
            let package = apt.download(&format!("{LIBRARY}={version}"))?;
            let half_done = place.join("unpacking");
            let mut unpack = command("dpkg-deb", ["--extract"]);
            run(unpack.arg(package).arg(&half_done))?;
            fs::rename(half_done, &library)?;
            apt.remove()?;
        }
        Ok(library.join("usr"))
    }
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
