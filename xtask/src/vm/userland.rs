//! The tools that a guest calls and the libraries they are linked with: this machine's own, or, for another processor,
//! Debian's.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    arch::Arch,
    debian::Apt,
    host::find_program,
    process::{command, output},
};

/// What has the tools.
const PACKAGES: &[&str] = &["busybox-static", "iproute2", "bpftool"];
/// Where Debian has programs.
const PROGRAMS: &[&str] = &["bin", "sbin", "usr/bin", "usr/sbin"];

/// Where they are.
pub(crate) enum Userland {
    Own,
    /// Unpacked in a folder.
    Unpacked {
        root: PathBuf,
        arch: Arch,
    },
}

/// A library: where it is, and where the guest looks for it.
pub(crate) struct Library {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
}

impl Userland {
    /// That of a processor, fetched below `place` when it is not there yet.
    pub(crate) fn of(arch: Arch, place: &Path) -> Result<Self> {
        if arch.is_own() {
            return Ok(Self::Own);
        }
        let root = place.join("userland");
        if !root.is_dir() {
            let apt = Apt::new(&place.join("apt"), &["bookworm"], arch)?;
            let half_done = place.join("unpacking");
            fs::create_dir_all(&half_done)?;
            apt.unpack_all(PACKAGES, &half_done)?;
            fs::rename(half_done, &root)?;
            apt.remove()?;
        }
        Ok(Self::Unpacked { root, arch })
    }

    /// Where a tool is.
    pub(crate) fn program(&self, name: &str) -> Result<PathBuf> {
        let found = match self {
            Self::Own => find_program(name),
            Self::Unpacked { root, .. } => PROGRAMS
                .iter()
                .map(|folder| root.join(folder).join(name))
                .find(|path| path.exists()),
        };
        found.with_context(|| format!("{name} is missing"))
    }

    /// What a program is linked with, the dynamic loader among it. Nothing for a static program.
    pub(crate) fn libraries(&self, program: &Path) -> Result<Vec<Library>> {
        match self {
            Self::Own => own_libraries(program),
            Self::Unpacked { root, arch } => {
                let mut found = Vec::new();
                needed(program, root, *arch, &mut found)?;
                Ok(found)
            }
        }
    }
}

/// The paths in `ldd`'s answer.
fn own_libraries(program: &Path) -> Result<Vec<Library>> {
    let listed = output(command("ldd", [program]).env("LC_ALL", "C")).unwrap_or_default();
    if listed.contains("not found") {
        bail!("{} misses a library: {listed}", program.display());
    }
    let paths = listed.split_whitespace().filter(|w| w.starts_with('/'));
    paths
        .map(|path| {
            Ok(Library {
                from: PathBuf::from(path),
                to: Path::new(path).strip_prefix("/")?.to_owned(),
            })
        })
        .collect()
}

/// What a program or library names, and what those name.
fn needed(program: &Path, root: &Path, arch: Arch, found: &mut Vec<Library>) -> Result<()> {
    let told = output(command("readelf", ["--dynamic", "--wide"]).arg(program))?;
    let folder = format!("{}-linux-gnu", arch.rpm());
    for name in told.lines().filter_map(named) {
        if found.iter().any(|library| library.to.ends_with(name)) {
            continue;
        }
        let places = [
            "lib".to_owned(),
            format!("lib/{folder}"),
            format!("usr/lib/{folder}"),
        ];
        let to = places
            .iter()
            .map(|place| Path::new(place).join(name))
            .find(|to| root.join(to).exists())
            .with_context(|| format!("{} misses {name}", program.display()))?;
        let from = root.join(&to);
        found.push(Library {
            from: from.clone(),
            to,
        });
        needed(&from, root, arch, found)?;
    }
    Ok(())
}

/// The library's name in a line such as `(NEEDED) Shared library: [libc.so.6]`.
fn named(line: &str) -> Option<&str> {
    let (_, name) = line.split_once("(NEEDED)")?;
    Some(name.split_once('[')?.1.split_once(']')?.0)
}
