//! The package for Fedora and its kin, by their own tool.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Packed, VERSION, epoch,
    held::{self, Held},
    named,
    stage::{CONFIGURATION, Stage},
};
use crate::{
    arch::Arch,
    process::{command, output},
};

/// Where zsh looks there.
const ZSH: &str = "usr/share/zsh/site-functions";

/// What the tool is told, so that it looks for nothing by itself.
const SETTINGS: &[&str] = &[
    "_buildhost localhost",
    "use_source_date_epoch_as_buildtime 1",
    "clamp_mtime_to_source_date_epoch 1",
    "_build_id_links none",
    "__os_install_post %{nil}",
    "__brp_mangle_shebangs %{nil}",
    "debug_package %{nil}",
];

pub(super) fn pack(stage: &Stage, arch: Arch, into: &Path, packed: Packed) -> Result<PathBuf> {
    let zsh = stage.folder.join(ZSH);
    fs::create_dir_all(&zsh)?;
    let other = stage.folder.join("usr/share/zsh/vendor-completions");
    fs::rename(other.join("_tds-tracer"), zsh.join("_tds-tracer"))?;
    fs::remove_dir(other)?;
    stage.settle()?;
    let place = into.join("rpm");
    fs::create_dir_all(&place)?;
    let spec = place.join("tds-tracer.spec");
    fs::write(&spec, about(stage)?)?;
    let mut pack = command("rpmbuild", ["-bb", "--quiet", "--target", arch.rpm()]);
    for setting in SETTINGS {
        pack.args(["--define", setting]);
    }
    pack.arg("--define").arg(match packed {
        Packed::Small => "_binary_payload w19.zstdio",
        Packed::Soon => "_binary_payload w1.zstdio",
    });
    pack.arg("--define")
        .arg(format!("_topdir {}", place.display()));
    pack.arg("--define")
        .arg(format!("_rpmdir {}", place.display()));
    pack.arg(&spec).env("SOURCE_DATE_EPOCH", epoch()?);
    output(&mut pack)?;
    let package = file(arch, into);
    let name = package.file_name().context("no name")?;
    fs::rename(place.join(arch.rpm()).join(name), &package)?;
    fs::remove_dir_all(place)?;
    Ok(package)
}

/// The package's name in a folder.
pub(super) fn file(arch: Arch, folder: &Path) -> PathBuf {
    named(
        folder,
        &format!("tds-tracer-{VERSION}-1.{}.rpm", arch.rpm()),
    )
}

/// What the tool says of a package that is not installed.
fn said(package: &Path, question: &[&str]) -> Result<String> {
    let mut rpm = command("rpm", ["--query", "--package"]);
    output(rpm.args(question).arg(package))
}

/// Fails where it has not what a package has to have, or needs what a host may not have.
pub(super) fn check(package: &Path, arch: Arch, agent: &Path) -> Result<()> {
    let line = "[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\\n]";
    let list = said(package, &["--queryformat", line])?;
    let files: Vec<Held> = list.lines().map(Held::of).collect::<Result<_>>()?;
    held::check(&files, arch, agent, ZSH)?;
    let configuration = said(package, &["--configfiles"])?;
    ensure!(
        configuration.trim() == format!("/{CONFIGURATION}"),
        "its configuration is {configuration}"
    );
    let needs = said(package, &["--requires"])?;
    let other = needs
        .lines()
        .find(|need| *need != "/bin/sh" && !need.starts_with("rpmlib("));
    ensure!(other.is_none(), "it needs {needs}");
    let scripts = said(package, &["--scripts"])?;
    for script in ["postinstall", "preuninstall", "postuninstall"] {
        let begins = format!("{script} scriptlet");
        ensure!(scripts.contains(&begins), "no {script}: {scripts}");
    }
    println!("the rpm has what it has to have");
    Ok(())
}

fn about(stage: &Stage) -> Result<String> {
    let folder = stage.folder.to_str().context("a folder with an odd name")?;
    let mut find = command("find", [".", "-type", "f", "-printf", "/%P\n"]);
    let files = output(find.current_dir(&stage.folder))?;
    let mut files: Vec<String> = files
        .lines()
        .map(|file| {
            if file == format!("/{CONFIGURATION}") {
                format!("%config(noreplace) {file}")
            } else {
                file.to_owned()
            }
        })
        .collect();
    // Else they stay behind when it is erased.
    let mut find = command("find", [".", "-type", "d", "-path", "*/tds-tracer*"]);
    let folders = output(
        find.args(["-printf", "%%dir /%P\n"])
            .current_dir(&stage.folder),
    )?;
    files.extend(folders.lines().map(str::to_owned));
    files.sort();
    Ok(format!(
        "Name: tds-tracer\n\
         Version: {VERSION}\n\
         Release: 1\n\
         Summary: Says why SQL Server logins are slow or fail\n\
         License: MIT OR Apache-2.0\n\
         AutoReqProv: no\n\n\
         %description\n\
         It watches the connections to SQL Server on this host from inside the Linux kernel and says for every login how\n\
         long each phase took, who was waited for, and how it ended: one JSON object per line.\n\n\
         %install\ncp -a {folder}/. %{{buildroot}}/\n\n\
         %post\n[ -x /usr/bin/systemd-sysusers ] && systemd-sysusers tds-tracer.conf\n\
         [ -d /run/systemd/system ] && systemctl daemon-reload\nexit 0\n\n\
         %preun\n[ $1 -eq 0 ] && [ -d /run/systemd/system ] && systemctl disable --now tds-tracer.service\nexit 0\n\n\
         %postun\n[ -d /run/systemd/system ] && systemctl daemon-reload\n\
         [ $1 -ge 1 ] && [ -d /run/systemd/system ] && systemctl try-restart tds-tracer.service\nexit 0\n\n\
         %files\n%defattr(-,root,root,-)\n{}\n",
        files.join("\n")
    ))
}
