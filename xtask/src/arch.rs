//! The processors that the agent is for, by all the names they have.

use std::{ffi::OsStr, process::Command};

use clap::ValueEnum;

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

    /// A program for it, which an emulator runs where this machine cannot.
    pub(crate) fn program(self, path: impl AsRef<OsStr>) -> Command {
        if self.is_own() {
            return Command::new(path);
        }
        let mut emulated = Command::new(format!("qemu-{}", self.rpm()));
        emulated.arg(path);
        emulated
    }

    /// One of the tools that work on programs for it.
    pub(crate) fn tool(self, name: &str) -> Command {
        if self.is_own() {
            return Command::new(name);
        }
        Command::new(format!("{}-linux-gnu-{name}", self.rpm()))
    }
}
