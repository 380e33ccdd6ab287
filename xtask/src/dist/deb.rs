//! The package for Debian and its kin, by Debian's own tool.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

use super::{
    VERSION, epoch, named,
    stage::{CONFIGURATION, Stage, mode},
};
use crate::{
    arch::Arch,
    process::{command, output, root},
};

const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// What has to be in it, with the bits that it has to have.
const HELD: &[(&str, &str)] = &[
    ("./usr/bin/tds-tracer", "-rwxr-xr-x"),
    ("./etc/tds-tracer/config.toml", "-rw-r--r--"),
    ("./etc/tds-tracer/conf.d/", "drwxr-xr-x"),
    ("./usr/lib/systemd/system/tds-tracer.service", "-rw-r--r--"),
    ("./usr/lib/sysusers.d/tds-tracer.conf", "-rw-r--r--"),
    ("./usr/share/man/man1/tds-tracer.1.gz", "-rw-r--r--"),
    (
        "./usr/share/man/man1/tds-tracer-config-show.1.gz",
        "-rw-r--r--",
    ),
    ("./usr/share/man/man1/tds-tracer-run.1.gz", "-rw-r--r--"),
    (
        "./usr/share/bash-completion/completions/tds-tracer",
        "-rw-r--r--",
    ),
    (
        "./usr/share/zsh/vendor-completions/_tds-tracer",
        "-rw-r--r--",
    ),
    (
        "./usr/share/fish/vendor_completions.d/tds-tracer.fish",
        "-rw-r--r--",
    ),
];

pub(super) fn pack(stage: &Stage, arch: Arch, into: &Path) -> Result<PathBuf> {
    let control = stage.folder.join("DEBIAN");
    fs::create_dir_all(&control)?;
    fs::write(control.join("control"), about(arch))?;
    fs::write(control.join("conffiles"), format!("/{CONFIGURATION}\n"))?;
    for script in SCRIPTS {
        let to = control.join(script);
        fs::copy(root().join("packaging/deb").join(script), &to)?;
        mode(&to, 0o755)?;
    }
    stage.settle()?;
    let package = file(arch, into);
    let mut pack = command("dpkg-deb", ["--build", "--root-owner-group", "-Zxz"]);
    pack.arg(&stage.folder).arg(&package);
    output(pack.env("SOURCE_DATE_EPOCH", epoch()?))?;
    fs::remove_dir_all(control)?;
    Ok(package)
}

/// The package's name in a folder.
pub(super) fn file(arch: Arch, folder: &Path) -> PathBuf {
    named(
        folder,
        &format!("tds-tracer_{VERSION}_{}.deb", arch.debian()),
    )
}

fn about(arch: Arch) -> String {
    format!(
        "Package: tds-tracer\n\
         Version: {VERSION}\n\
         Architecture: {}\n\
         Maintainer: The authors of tds-tracer <tds-tracer@localhost>\n\
         Section: net\n\
         Priority: optional\n\
         Recommends: systemd\n\
         Description: says why SQL Server logins are slow or fail\n \
         It watches the connections to SQL Server on this host from inside the Linux\n \
         kernel and says for every login how long each phase took, who was waited for,\n \
         and how it ended: one JSON object per line.\n",
        arch.debian()
    )
}

/// Fails where something is missing in it, or belongs to somebody else than root.
pub(super) fn check(package: &Path) -> Result<()> {
    let list = output(command("dpkg-deb", ["--contents"]).arg(package))?;
    for (name, bits) in HELD {
        let line = list
            .lines()
            .find(|line| line.ends_with(&format!(" {name}")));
        match line {
            Some(line) if line.starts_with(bits) => {}
            Some(line) => bail!("{name} has to be {bits}: {line}"),
            None => bail!("{name} is missing in the package:\n{list}"),
        }
    }
    if let Some(line) = list.lines().find(|line| !line.contains(" root/root ")) {
        bail!("not root's: {line}");
    }
    let conffiles = output(
        command("dpkg-deb", ["--info"])
            .arg(package)
            .arg("conffiles"),
    )?;
    if conffiles.trim() != format!("/{CONFIGURATION}") {
        bail!("its configuration is {conffiles}");
    }
    println!("the Debian package has what it has to have");
    Ok(())
}
