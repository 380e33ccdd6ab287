//! The binary: static, without a path of where it was built, and what a debugger wants beside it.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{VERSION, named};
use crate::{
    arch::Arch,
    cross,
    process::{command, output, root, run},
};

/// No longer than this, bytes.
const MOST: u64 = 12 << 20;
/// Where `cargo auditable` says which packages are in it, and their versions.
const PACKAGES: &str = ".dep-v0";
/// Of a program that only tests load.
const TRIAL: &[u8] = b"tds_advance";

/// What was built.
pub(super) struct Built {
    /// The agent as it is handed out.
    pub(super) agent: PathBuf,
    /// What its debugger wants.
    debug: PathBuf,
    pub(super) arch: Arch,
}

pub(super) fn all(arch: Arch, folder: &Path) -> Result<Built> {
    let mut build = cross::build(arch, &["auditable", "build"], &flags(arch)?, folder)?;
    build
        .args(["--quiet", "--profile", "dist", "--package", "tracer"])
        .env("CFLAGS", c_flags()?.join(" "))
        // The allocator says when it was compiled.
        .env("SOURCE_DATE_EPOCH", "0");
    run(&mut build)?;
    let whole = folder.join(arch.triple()).join("dist/tds-tracer");
    let taken_apart = given(&whole, arch, folder)?;
    check(&taken_apart.agent)?;
    Ok(taken_apart)
}

/// An agent that was built already, taken apart.
pub(super) fn given(whole: &Path, arch: Arch, folder: &Path) -> Result<Built> {
    fs::create_dir_all(folder)?;
    let agent = stripped(whole, arch, folder)?;
    // The agent says what it is called, by which a debugger looks for it.
    let debug = named(folder, &handed_out(arch, ".debug"));
    output(
        arch.tool("objcopy")
            .arg("--only-keep-debug")
            .arg(whole)
            .arg(&debug),
    )?;
    let link = format!("--add-gnu-debuglink={}", debug.display());
    output(arch.tool("objcopy").arg(link).arg(&agent))?;
    Ok(Built { agent, debug, arch })
}

/// A copy without what only a debugger wants.
pub(super) fn stripped(agent: &Path, arch: Arch, into: &Path) -> Result<PathBuf> {
    let smaller = named(into, "tds-tracer");
    output(arch.tool("strip").arg("-o").arg(&smaller).arg(agent))?;
    Ok(smaller)
}

/// Static, and each folder by another name.
fn flags(arch: Arch) -> Result<Vec<String>> {
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    if arch == Arch::X86_64 {
        // A static program moves itself to where it is loaded: half a megabyte of places, or a bit for each.
        flags.push("-Clink-arg=-Wl,-z,pack-relative-relocs".to_owned());
    }
    if arch.is_own() && has_lld()? {
        // What is compiled to the same is there once.
        flags.push("-Clink-arg=-Wl,--icf=all".to_owned());
    }
    let renamed = folders()?.into_iter();
    flags.extend(renamed.map(|(from, to)| format!("--remap-path-prefix={from}={to}")));
    Ok(flags)
}

/// Whether the compiler links with the linker that it brings.
fn has_lld() -> Result<bool> {
    let root = output(command("rustc", ["--print", "sysroot"]).current_dir(root()))?;
    let lld = format!("lib/rustlib/{}/bin/gcc-ld", Arch::OWN.triple());
    Ok(Path::new(root.trim()).join(lld).is_dir())
}

/// The same for what is written in C.
fn c_flags() -> Result<Vec<String>> {
    let renamed = folders()?.into_iter();
    Ok(renamed
        .map(|(from, to)| format!("-ffile-prefix-map={from}={to}"))
        .collect())
}

/// Folders of this machine, and what they are called instead.
fn folders() -> Result<Vec<(String, &'static str)>> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .context("no home of cargo")?;
    let mut folders = vec![(root().display().to_string(), ".")];
    for registry in fs::read_dir(home.join("registry/src"))? {
        folders.push((registry?.path().display().to_string(), "registry"));
    }
    Ok(folders)
}

/// Fails where the agent is not what it has to be.
fn check(agent: &Path) -> Result<()> {
    let bytes = fs::read(agent)?;
    let holds = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    for (folder, _) in folders()? {
        if holds(folder.as_bytes()) {
            bail!("the agent names {folder}, where it was built");
        }
    }
    if holds(TRIAL) {
        bail!("the agent has programs that only tests load");
    }
    if bytes.len() as u64 > MOST {
        bail!(
            "the agent has {} bytes, which are more than {MOST}",
            bytes.len()
        );
    }
    let segments = output(command("readelf", ["--program-headers", "--wide"]).arg(agent))?;
    if segments.contains("INTERP") {
        bail!("the agent is not static");
    }
    let sections = output(command("readelf", ["--section-headers", "--wide"]).arg(agent))?;
    if !sections.contains(PACKAGES) {
        bail!("the agent does not say which packages are in it");
    }
    println!("tds-tracer: {} bytes, static", bytes.len());
    Ok(())
}

/// What a file is called that is handed out as it is.
fn handed_out(arch: Arch, kind: &str) -> String {
    format!("tds-tracer-{VERSION}-linux-{}{kind}", arch.debian())
}

impl Built {
    /// Hands the agent out as it is.
    pub(super) fn keep(&self, into: &Path) -> Result<PathBuf> {
        self.copy(&self.agent, into, "")
    }

    /// Hands out what its debugger wants.
    pub(super) fn keep_debug(&self, into: &Path) -> Result<PathBuf> {
        self.copy(&self.debug, into, ".debug")
    }

    fn copy(&self, file: &Path, into: &Path, kind: &str) -> Result<PathBuf> {
        let copy = named(into, &handed_out(self.arch, kind));
        fs::copy(file, &copy)?;
        Ok(copy)
    }
}
