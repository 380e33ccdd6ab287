//! Which toolchain builds the kernel programs: what `cargo xtask ebpf` takes, and `cargo xtask setup` installs where
//! this finds it missing.
//!
//! It takes `core` from source (`-Z build-std`) and a `bpf-linker`. Two ways lead there: a nightly
//! with the `rust-src` component, and Debian's `rustc-web` with its own matching library source,
//! known to rustup as `ebpf`. The latter is a stable compiler and needs `RUSTC_BOOTSTRAP=1`.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::{
    host::find_program,
    process::{command, output},
};

/// Names a rustup toolchain to use in place of the ones looked for.
pub(crate) const OVERRIDE: &str = "TDS_TRACER_EBPF_TOOLCHAIN";
/// Lets a stable compiler accept `-Z` options.
pub(crate) const BOOTSTRAP: &str = "RUSTC_BOOTSTRAP";
/// The name under which set-up links Debian's compiler into rustup.
pub(crate) const LINKED: &str = "ebpf";

/// Debian's LLVM of the compiler's version.
pub(crate) const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// A toolchain that can build the kernel programs.
#[derive(Debug)]
pub(crate) struct EbpfToolchain {
    /// As in `rustup run NAME`.
    pub(crate) name: String,
    /// Whether the compiler needs [`BOOTSTRAP`].
    pub(crate) stable: bool,
}

impl EbpfToolchain {
    /// The toolchain to use, or one line that says what is missing and the mend.
    ///
    /// A linked `ebpf` goes before nightly: it exists only where set-up made it, together with a
    /// `bpf-linker` of the same LLVM.
    pub(crate) fn find() -> std::result::Result<Self, String> {
        if bpf_linker().is_none() {
            return Err(missing("there is no bpf-linker"));
        }
        if let Ok(name) = env::var(OVERRIDE) {
            return Self::probe(&name)
                .ok_or_else(|| missing(&format!("{OVERRIDE}={name} has no library source")));
        }
        [LINKED, "nightly"]
            .into_iter()
            .find_map(Self::probe)
            .ok_or_else(|| missing("no toolchain has the library source (rust-src)"))
    }

    /// The toolchain of that name, when it exists and brings the source of `core`.
    pub(crate) fn probe(name: &str) -> Option<Self> {
        let sysroot = rustc(name, &["--print", "sysroot"])?;
        let source = Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/Cargo.toml");
        if !source.exists() {
            return None;
        }
        let stable = !rustc(name, &["--version"])?.contains("nightly");
        Some(Self {
            name: name.to_owned(),
            stable,
        })
    }

    /// The compiler and its LLVM, as they name themselves.
    pub(crate) fn version(&self) -> Result<String> {
        let text = rustc(&self.name, &["--version", "--verbose"]).context("no word of rustc")?;
        let llvm = text.lines().find(|line| line.starts_with("LLVM version"));
        let rustc = text.lines().next().unwrap_or_default();
        Ok(format!("{rustc}, {}", llvm.unwrap_or_default()))
    }

    /// A copier that knows the objects: the compiler's own, or that of the LLVM that the linker was built with.
    pub(crate) fn objcopy(&self) -> Result<PathBuf> {
        let sysroot = rustc(&self.name, &["--print", "sysroot"]).context("no word of rustc")?;
        let host = rustc(&self.name, &["--print", "host-tuple"]).context("no word of rustc")?;
        let own = format!("{sysroot}/lib/rustlib/{host}/bin/rust-objcopy");
        [
            PathBuf::from(own),
            PathBuf::from(LLVM_PREFIX).join("bin/llvm-objcopy"),
        ]
        .into_iter()
        .chain(find_program("llvm-objcopy"))
        .find(|program| program.is_file())
        .context("there is no llvm-objcopy")
    }

    /// Where its source of the library is.
    pub(crate) fn library(&self) -> Result<PathBuf> {
        let sysroot = rustc(&self.name, &["--print", "sysroot"]).context("no word of rustc")?;
        Ok(Path::new(&sysroot).join("lib/rustlib/src/rust"))
    }
}

/// Where `bpf-linker` is, searched as the compiler will: along `PATH`.
pub(crate) fn bpf_linker() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|dir| dir.join("bpf-linker"))
        .find(|file| file.is_file())
}

/// The linker, as it names itself.
pub(crate) fn linker_version() -> Result<String> {
    Ok(output(&mut command("bpf-linker", ["--version"]))?
        .trim()
        .to_owned())
}

fn rustc(toolchain: &str, args: &[&str]) -> Option<String> {
    let output = Command::new("rustup")
        .args(["run", toolchain, "rustc"])
        .args(args)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn missing(what: &str) -> String {
    format!("cannot build the kernel programs: {what}; `cargo xtask setup` installs what is needed")
}
