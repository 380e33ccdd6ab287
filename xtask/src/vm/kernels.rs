//! Debian's cloud kernels, fetched by apt with lists of our own, so that the machine's are left
//! alone: a package is unpacked under `target/vm`, never installed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::process::{command, output, run, succeeds};

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

const META_PACKAGE: &str = "linux-image-cloud-amd64";

impl Kernel {
    /// The kernel under `place`, fetched when it is not there yet.
    pub(crate) fn fetch(&self, place: &Path) -> Result<Fetched> {
        let root = place.join("root");
        if let Some(fetched) = unpacked(&root) {
            return Ok(fetched);
        }
        println!("fetching Debian's Linux {} ({})", self.series, self.suite);
        let apt = PrivateApt::new(&place.join("apt"), self.suite)?;
        let package = apt.real_package(META_PACKAGE)?;
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
        fs::remove_dir_all(place.join("apt"))?;
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

/// apt with one suite, and lists and cache of its own.
struct PrivateApt {
    folder: PathBuf,
}

impl PrivateApt {
    fn new(folder: &Path, suite: &str) -> Result<Self> {
        fs::create_dir_all(folder.join("lists/partial"))?;
        fs::create_dir_all(folder.join("cache/archives/partial"))?;
        let sources = format!("deb {} {suite} main\n", mirror()?);
        fs::write(folder.join("sources.list"), sources)?;
        let apt = Self {
            folder: folder.canonicalize()?,
        };
        run(&mut apt.command("apt-get", &["update", "--quiet"]))?;
        Ok(apt)
    }

    fn command(&self, program: &str, args: &[&str]) -> std::process::Command {
        let folder = self.folder.display();
        let mut apt = command(program, args);
        apt.current_dir(&self.folder)
            .arg(format!("-oDir::Etc::SourceList={folder}/sources.list"))
            .arg("-oDir::Etc::SourceParts=/dev/null")
            .arg(format!("-oDir::State::Lists={folder}/lists"))
            .arg(format!("-oDir::Cache={folder}/cache"))
            .arg("-oAPT::Sandbox::User=root");
        apt
    }

    /// The package that a meta-package stands for.
    fn real_package(&self, meta: &str) -> Result<String> {
        let text = output(&mut self.command("apt-cache", &["depends", "--important", meta]))?;
        text.lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .find(|name| name.starts_with("linux-image-"))
            .map(str::to_owned)
            .with_context(|| format!("{meta} names no kernel"))
    }

    fn download(&self, package: &str) -> Result<PathBuf> {
        run(&mut self.command("apt-get", &["download", "--quiet", package]))?;
        fs::read_dir(&self.folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .context("apt has downloaded nothing")
    }
}

/// The mirror that this machine already takes Debian from.
fn mirror() -> Result<String> {
    let format = "$(CREATED_BY)|$(ORIGIN)|$(CODENAME)|$(REPO_URI)";
    let targets = output(&mut command(
        "apt-get",
        ["indextargets", "--format", format],
    ))?;
    targets
        .lines()
        .filter_map(|line| line.strip_prefix("Packages|Debian|"))
        .filter_map(|line| line.split_once('|'))
        .find(|(codename, _)| !codename.contains('-'))
        .map(|(_, uri)| uri.to_owned())
        .context("this machine takes no packages from Debian; the kernels come from there")
}
