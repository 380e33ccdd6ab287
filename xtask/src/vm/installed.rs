//! The Debian package on a Debian 12 of its own, with systemd as the first program, in the emulator.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{
    initramfs,
    kernels::KERNELS,
    place_of,
    qemu::{self, Guest},
};
use crate::{
    arch::Arch,
    process::{command, output, run},
};

/// The kernel of Debian 12.
const SERIES: &str = "6.1";
/// What has the root beside the bare minimum.
const INCLUDED: &str = "--include=systemd,systemd-sysv";
const BYTES: &str = "2G";

/// Runs the checks once everything is up, reports, and switches the guest off.
const TRIAL: &str = "[Unit]
After=basic.target

[Service]
Type=oneshot
ExecStart=/bin/sh -c '/trial/xtask vm-guest installed >/dev/ttyS1 2>/dev/console; echo end >/dev/ttyS1; systemctl poweroff --force --force'
";

/// Boots a root in which the package lies, and one of a later version; how many checks passed.
pub(crate) fn run_with(package: &Path, verbose: bool) -> Result<usize> {
    let arch = Arch::OWN;
    let kernel = KERNELS.iter().find(|kernel| kernel.series == SERIES);
    let kernel = kernel.context("no such kernel")?;
    let booted = kernel.fetch(arch, &place_of(arch, SERIES))?;
    let place = place_of(arch, "installed");
    fs::create_dir_all(&place)?;
    let root = bootstrapped(&place)?;
    let trial = root.join("trial");
    fs::create_dir_all(&trial)?;
    fs::copy(package, trial.join("package.deb")).context("the package")?;
    later(package, &place, &trial.join("later.deb"))?;
    let own = format!("/proc/{}/exe", std::process::id());
    let mut strip = arch.tool("strip");
    output(strip.args(["-o"]).arg(trial.join("xtask")).arg(own))?;
    starts_trial(&root)?;
    let disk = place.join("disk");
    image(&root, &disk)?;
    let initramfs = initramfs::pack_for_disk(&place, &booted)?;
    let guest = Guest {
        arch,
        image: &booted.image,
        initramfs: &initramfs,
        disk: Some(&disk),
    };
    let report = qemu::boot(&place, &guest, verbose)?;
    fs::remove_file(disk)?;
    report.judge(SERIES)
}

/// Debian 12 in a folder, made when it is not there yet.
fn bootstrapped(place: &Path) -> Result<PathBuf> {
    let root = place.join("root");
    if !root.is_dir() {
        let half_done = place.join("bootstrapping");
        if half_done.exists() {
            fs::remove_dir_all(&half_done)?;
        }
        let mut bootstrap = command("debootstrap", ["--variant=minbase", INCLUDED, "bookworm"]);
        run(bootstrap.arg(&half_done))?;
        fs::rename(half_done, &root)?;
    }
    Ok(root)
}

/// The same package as if of a later version.
fn later(package: &Path, place: &Path, to: &Path) -> Result<()> {
    let folder = place.join("later");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    output(
        command("dpkg-deb", ["--raw-extract"])
            .arg(package)
            .arg(&folder),
    )?;
    let control = folder.join("DEBIAN/control");
    let text = fs::read_to_string(&control)?;
    let later: Vec<String> = text
        .lines()
        .map(|line| match line.strip_prefix("Version: ") {
            Some(version) => format!("Version: {version}+later"),
            None => line.to_owned(),
        })
        .collect();
    fs::write(control, later.join("\n") + "\n")?;
    let mut pack = command("dpkg-deb", ["--build", "--root-owner-group", "-Znone"]);
    output(pack.arg(&folder).arg(to))?;
    Ok(fs::remove_dir_all(folder)?)
}

fn starts_trial(root: &Path) -> Result<()> {
    let units = root.join("etc/systemd/system");
    fs::write(units.join("trial.service"), TRIAL)?;
    let wanted = units.join("multi-user.target.wants");
    fs::create_dir_all(&wanted)?;
    let link = wanted.join("trial.service");
    if !link.is_symlink() {
        symlink("../trial.service", link)?;
    }
    Ok(())
}

/// A file system with what is in a folder.
fn image(root: &Path, disk: &Path) -> Result<()> {
    if disk.exists() {
        fs::remove_file(disk)?;
    }
    let mut make = command("mkfs.ext4", ["-q", "-m", "0", "-d"]);
    output(make.arg(root).arg(disk).arg(BYTES)).map(drop)
}
