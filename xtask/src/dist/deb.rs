//! The package for Debian and its kin, by Debian's own tool.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

use super::{
    Packed, VERSION, epoch,
    held::{self, Held},
    named,
    stage::{CONFIGURATION, Stage, mode},
};
use crate::{
    arch::Arch,
    process::{command, output, root},
};

const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Where zsh looks there.
const ZSH: &str = "usr/share/zsh/vendor-completions";

pub(super) fn pack(stage: &Stage, arch: Arch, into: &Path, packed: Packed) -> Result<PathBuf> {
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
    let mut pack = command("dpkg-deb", ["--build", "--root-owner-group"]);
    pack.arg(match packed {
        Packed::Small => "-Zxz",
        Packed::Soon => "-Znone",
    });
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

/// Fails where it has not what a package has to have.
pub(super) fn check(package: &Path, arch: Arch, agent: &Path) -> Result<()> {
    let list = output(command("dpkg-deb", ["--contents"]).arg(package))?;
    let files: Vec<Held> = list.lines().map(Held::of).collect::<Result<_>>()?;
    held::check(&files, arch, agent, ZSH)?;
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
