//! What the guest boots from: busybox, this program, the agent, a few tools with their
//! shared libraries, and the modules in the order in which they load.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    arch::Arch,
    process::{command, output},
    vm::{kernels::Fetched, userland::Userland},
};

/// Modules that the agent's kernels have outside of the image. One that a kernel has built in, or
/// has not, is left out; the guest's checks say what that breaks.
const MODULES: &[&str] = &[
    "veth",
    "sch_ingress",
    "cls_bpf",
    "inet_diag",
    "tcp_diag",
    "vrf",
    "macvlan",
];

/// What a root on a disk takes beside.
const DISK: &[&str] = &["virtio_pci", "virtio_blk"];

/// Tools that the guest calls.
const TOOLS: &[&str] = &["ip", "tc", "bpftool"];

/// PID 1 only mounts, loads and hands over, so that the guest's own code is all in Rust. The kernel's command line
/// says where the report goes.
const INIT: &str = "#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mkdir -p /run /sys/fs/cgroup
mount -t tmpfs run /run
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tracefs trace /sys/kernel/tracing
mount -t bpf bpf /sys/fs/bpf
mount -t debugfs debug /sys/kernel/debug
for module in $(cat /modules/order); do insmod /modules/$module; done
ip link set lo up
/bin/xtask vm-guest checks >/dev/$report
echo end >/dev/$report
poweroff -f
";

/// Hands over to the first program of the root on the disk.
const INIT_OF_DISK: &str = "#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
for module in $(cat /modules/order); do insmod /modules/$module; done
until [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 /dev/vda /root
mount -o move /dev /root/dev
exec switch_root /root /sbin/init
";

/// Packs what boots a root on a disk: busybox, and the modules by which that is reached.
pub(crate) fn pack_for_disk(place: &Path, kernel: &Fetched) -> Result<PathBuf> {
    let tree = bare(place, INIT_OF_DISK)?;
    fs::copy(Userland::Own.program("busybox")?, tree.join("bin/busybox"))?;
    put_modules(&tree, &kernel.modules, &[MODULES, DISK].concat())?;
    archive(&tree, &place.join("initramfs.cpio.gz"))
}

/// A tree with nothing but its folders and its first program.
fn bare(place: &Path, init: &str) -> Result<PathBuf> {
    let tree = place.join("tree");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    for folder in ["bin", "proc", "sys", "dev", "tmp", "modules", "etc", "root"] {
        fs::create_dir_all(tree.join(folder))?;
    }
    fs::write(tree.join("init"), init)?;
    fs::set_permissions(tree.join("init"), fs::Permissions::from_mode(0o755))?;
    Ok(tree)
}

/// The programs that are made here: the agent, and this one.
pub(crate) struct Programs {
    pub(crate) arch: Arch,
    pub(crate) agent: PathBuf,
    pub(crate) guest: PathBuf,
}

/// Packs the initramfs and returns its path.
pub(crate) fn pack(
    place: &Path,
    kernel: &Fetched,
    programs: &Programs,
    userland: &Userland,
) -> Result<PathBuf> {
    let tree = bare(place, INIT)?;
    fs::copy(userland.program("busybox")?, tree.join("bin/busybox"))?;

    let put = |program: &Path, name: &str| {
        let copy = tree.join("bin").join(name);
        let mut strip = programs.arch.tool("strip");
        output(strip.args(["--strip-all", "-o"]).arg(&copy).arg(program))?;
        put_libraries(&tree, program, userland)
    };
    put(&programs.guest, "xtask")?;
    put(&programs.agent, "tds-tracer")?;
    for tool in TOOLS {
        put(&userland.program(tool)?, tool)?;
    }
    put_modules(&tree, &kernel.modules, MODULES)?;
    archive(&tree, &place.join("initramfs.cpio.gz"))
}

/// Copies the libraries that a program is linked with.
fn put_libraries(tree: &Path, program: &Path, userland: &Userland) -> Result<()> {
    for library in userland.libraries(program)? {
        let place = tree.join(&library.to);
        if place.exists() {
            continue;
        }
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(&library.from, &place).with_context(|| library.from.display().to_string())?;
    }
    Ok(())
}

/// Copies the modules with all that they depend on, and writes down the order.
fn put_modules(tree: &Path, modules: &Path, names: &[&str]) -> Result<()> {
    let dependencies = fs::read_to_string(modules.join("modules.dep"))?;
    let mut order: Vec<String> = Vec::new();
    for wanted in names {
        let Some(files) = closure(&dependencies, wanted) else {
            continue;
        };
        for file in files {
            let name = put_module(tree, &modules.join(file))?;
            if !order.contains(&name) {
                order.push(name);
            }
        }
    }
    fs::write(tree.join("modules/order"), order.join("\n") + "\n")?;
    Ok(())
}

/// A module's dependencies and then itself. `modules.dep` names each file's own first, and the
/// one to load first last.
fn closure<'a>(dependencies: &'a str, module: &str) -> Option<Vec<&'a str>> {
    dependencies.lines().find_map(|line| {
        let (file, needs) = line.split_once(':')?;
        let name = file.rsplit('/').next()?.split('.').next()?;
        let order = needs.split_whitespace().rev().chain([file]);
        (name.replace('-', "_") == module).then(|| order.collect())
    })
}

/// Copies one module, unpacked where the distribution compresses it, and returns its new name.
fn put_module(tree: &Path, file: &Path) -> Result<String> {
    let name = file.file_name().context("module")?.display().to_string();
    let folder = tree.join("modules");
    if let Some(plain) = name.strip_suffix(".xz") {
        let mut unpack = command("xz", ["--decompress", "--stdout"]);
        unpack.arg(file).stdout(File::create(folder.join(plain))?);
        if !unpack.status()?.success() {
            bail!("xz cannot read {}", file.display());
        }
        return Ok(plain.to_owned());
    }
    fs::copy(file, folder.join(&name))?;
    Ok(name)
}

/// Packs the tree as the kernel wants it. The fastest compression is the best here: the guest
/// unpacks it under emulation.
fn archive(tree: &Path, into: &Path) -> Result<PathBuf> {
    let names = output(command("find", ["."]).current_dir(tree))?;
    let mut gzip = command("gzip", ["-1", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(File::create(into)?)
        .spawn()?;
    let mut cpio = command(
        "cpio",
        ["--create", "--format=newc", "--owner=0:0", "--quiet"],
    )
    .current_dir(tree)
    .stdin(Stdio::piped())
    .stdout(gzip.stdin.take().context("gzip's input")?)
    .spawn()?;
    cpio.stdin
        .take()
        .context("cpio's input")?
        .write_all(names.as_bytes())?;
    if !cpio.wait()?.success() || !gzip.wait()?.success() {
        bail!("cannot pack {}", tree.display());
    }
    Ok(into.to_owned())
}

#[cfg(test)]
mod tests {
    use super::closure;

    const DEPENDENCIES: &str = "kernel/net/sched/cls_bpf.ko:\n\
        kernel/net/ipv4/tcp_diag.ko.xz: kernel/net/ipv4/inet_diag.ko.xz kernel/net/core/sock.ko.xz\n";

    #[test]
    fn a_module_comes_after_all_that_it_needs() {
        let order = closure(DEPENDENCIES, "tcp_diag").unwrap();
        let names: Vec<_> = order
            .iter()
            .map(|f| f.rsplit('/').next().unwrap())
            .collect();
        assert_eq!(names, ["sock.ko.xz", "inet_diag.ko.xz", "tcp_diag.ko.xz"]);
    }

    #[test]
    fn a_module_that_the_kernel_does_not_have_is_none() {
        assert_eq!(closure(DEPENDENCIES, "diag"), None);
    }
}
