//! The package for Fedora and its kin, by their own tool.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    VERSION, epoch, named,
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
    "_binary_payload w19.zstdio",
];

pub(super) fn pack(stage: &Stage, arch: Arch, into: &Path) -> Result<PathBuf> {
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
    pack.arg("--define")
        .arg(format!("_topdir {}", place.display()));
    pack.arg("--define")
        .arg(format!("_rpmdir {}", place.display()));
    pack.arg(&spec).env("SOURCE_DATE_EPOCH", epoch()?);
    output(&mut pack)?;
    let name = format!("tds-tracer-{VERSION}-1.{}.rpm", arch.rpm());
    let package = named(into, &name);
    fs::rename(place.join(arch.rpm()).join(&name), &package)?;
    fs::remove_dir_all(place)?;
    Ok(package)
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
         %files\n%defattr(-,root,root,-)\n%dir /etc/tds-tracer\n%dir /etc/tds-tracer/conf.d\n{}\n",
        files.join("\n")
    ))
}
