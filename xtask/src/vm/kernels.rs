//! Debian's cloud kernels, unpacked under `target/vm`, never installed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    arch::Arch,
    debian::Apt,
    process::{command, run, succeeds},
};

/// A kernel to try.
pub(crate) struct Kernel {
    /// Its series, as `uname -r` begins.
    pub(crate) series: &'static str,
    suite: &'static str,
}

/// The floor, the one of Debian 12, and the newest that Debian 12 offers.
pub(crate) const KERNELS: &[Kernel] = &[
    Kernel {
        series: "5.10",
        suite: "bullseye",
    },
    Kernel {
        series: "6.1",
        suite: "bookworm",
    },
    Kernel {
        series: "6.12",
        suite: "bookworm-backports",
    },
];

/// A kernel on disk.
pub(crate) struct Fetched {
    /// The bootable image.
    pub(crate) image: PathBuf,
    /// `lib/modules/VERSION`, with `modules.dep`.
    pub(crate) modules: PathBuf,
}

impl Kernel {
    /// The kernel under `place`, fetched when it is not there yet.
    pub(crate) fn fetch(&self, arch: Arch, place: &Path) -> Result<Fetched> {
        let root = place.join("root");
        if let Some(fetched) = unpacked(&root) {
            return Ok(fetched);
        }
        println!("fetching Debian's Linux {} ({})", self.series, self.suite);
        let apt = Apt::new(&place.join("apt"), &[self.suite], arch)?;
        let meta = format!("linux-image-cloud-{}", arch.debian());
        let package = apt.real_package(&meta, "linux-image-")?;
        let archive = apt.download(&package)?;
        let half_done = place.join("unpacking");
        if half_done.exists() {
            fs::remove_dir_all(&half_done)?;
        }
        let mut unpack = command("dpkg-deb", ["--extract"]);
        run(unpack.arg(&archive).arg(&half_done))?;
        let version = package.trim_start_matches("linux-image-");
        if !version.starts_with(&format!("{}.", self.series)) {
            bail!("suite {} now has {version}", self.suite);
        }
        let mut depmod = command("depmod", ["--basedir"]);
        if !succeeds(depmod.arg(&half_done).arg(version)) {
            // Only root's PATH may name it.
            run(command("/sbin/depmod", ["--basedir"])
                .arg(&half_done)
                .arg(version))?;
        }
        fs::rename(&half_done, &root)?;
        apt.remove()?;
        unpacked(&root).context("the package holds no kernel")
    }
}

/// What an unpacked package holds, if it is whole.
fn unpacked(root: &Path) -> Option<Fetched> {
    let first = |folder: &str, prefix: &str| {
        fs::read_dir(root.join(folder))
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| {
                path.file_name()
                    .is_some_and(|n| n.display().to_string().starts_with(prefix))
            })
    };
    let modules = first("lib/modules", "").or_else(|| first("usr/lib/modules", ""))?;
    Some(Fetched {
        image: first("boot", "vmlinuz-")?,
        modules,
    })
}
