//! Debian's packages of other suites and other processors: fetched by apt with lists of our own, so that the machine's
//! are left alone, and unpacked under `target`, never installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    arch::Arch,
    process::{command, output, run},
};

/// apt with those suites, and lists and cache of its own.
pub(crate) struct Apt {
    folder: PathBuf,
    arch: Arch,
}

impl Apt {
    pub(crate) fn new(folder: &Path, suites: &[&str], arch: Arch) -> Result<Self> {
        fs::create_dir_all(folder.join("lists/partial"))?;
        fs::create_dir_all(folder.join("cache/archives/partial"))?;
        let mirrors = mirrors()?;
        let sources: Vec<String> = suites
            .iter()
            .map(|suite| Ok(format!("deb {} {suite} main\n", of(&mirrors, suite)?)))
            .collect::<Result<_>>()?;
        fs::write(folder.join("sources.list"), sources.concat())?;
        // Nothing is installed there, as far as it knows.
        fs::write(folder.join("status"), "")?;
        let apt = Self {
            folder: folder.canonicalize()?,
            arch,
        };
        run(&mut apt.command("apt-get", &["update", "--quiet"]))?;
        Ok(apt)
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let folder = self.folder.display();
        let arch = self.arch.debian();
        let mut apt = command(program, args);
        apt.current_dir(&self.folder)
            .arg(format!("-oAPT::Architecture={arch}"))
            .arg(format!("-oAPT::Architectures={arch}"))
            .arg(format!("-oDir::Etc::SourceList={folder}/sources.list"))
            .arg("-oDir::Etc::SourceParts=/dev/null")
            .arg(format!("-oDir::State::Lists={folder}/lists"))
            .arg(format!("-oDir::State::status={folder}/status"))
            .arg(format!("-oDir::Cache={folder}/cache"))
            .arg("-oAPT::Sandbox::User=root");
        apt
    }

    /// The package that a meta-package stands for.
    pub(crate) fn real_package(&self, meta: &str, prefix: &str) -> Result<String> {
        let text = output(&mut self.command("apt-cache", &["depends", "--important", meta]))?;
        text.lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .find(|name| name.starts_with(prefix))
            .map(str::to_owned)
            .with_context(|| format!("{meta} names no {prefix}"))
    }

    /// One package, without what it needs.
    pub(crate) fn download(&self, package: &str) -> Result<PathBuf> {
        run(&mut self.command("apt-get", &["download", "--quiet", package]))?;
        packages(&self.folder)?
            .pop()
            .context("apt has downloaded nothing")
    }

    /// These with all that they need, unpacked into a folder.
    pub(crate) fn unpack_all(&self, names: &[&str], into: &Path) -> Result<()> {
        let mut download = self.command("apt-get", &["install", "--quiet", "--yes"]);
        download.args(["--download-only", "--no-install-recommends"]);
        run(download.args(names))?;
        for package in packages(&self.folder.join("cache/archives"))? {
            output(command("dpkg-deb", ["--extract"]).arg(package).arg(into))?;
        }
        Ok(())
    }

    /// Gives its lists and packages back.
    pub(crate) fn remove(self) -> Result<()> {
        Ok(fs::remove_dir_all(self.folder)?)
    }
}

/// The packages in a folder.
fn packages(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(files
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect())
}

/// The suites that this machine takes from Debian, and where it takes them from.
fn mirrors() -> Result<Vec<(String, String)>> {
    let format = "$(CREATED_BY)|$(ORIGIN)|$(CODENAME)|$(REPO_URI)";
    let targets = output(&mut command(
        "apt-get",
        ["indextargets", "--format", format],
    ))?;
    Ok(targets
        .lines()
        .filter_map(|line| line.strip_prefix("Packages|Debian|"))
        .filter_map(|line| line.split_once('|'))
        .map(|(suite, address)| (suite.to_owned(), address.to_owned()))
        .collect())
}

/// Where a suite is: one that this machine takes nothing from is where the others are.
fn of<'a>(mirrors: &'a [(String, String)], suite: &str) -> Result<&'a str> {
    let known = mirrors.iter().find(|(name, _)| name == suite);
    let usual = || mirrors.iter().find(|(name, _)| !name.contains('-'));
    known
        .or_else(usual)
        .map(|(_, address)| address.as_str())
        .context("this machine takes no packages from Debian; they come from there")
}
