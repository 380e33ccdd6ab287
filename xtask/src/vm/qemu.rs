//! The emulator, and what the guest says on its second serial line.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{arch::Arch, process::command};

/// How long a boot with all checks may take. Emulation is slow, that of another processor's instructions and memory order
/// more so, and this machine may be busy with much else: it takes minutes otherwise.
fn patience(arch: Arch) -> Duration {
    Duration::from_mins(if arch.is_own() { 45 } else { 90 })
}

/// What the guest reported, line by line.
pub(crate) struct Report {
    lines: Vec<String>,
    console: String,
}

/// The emulator of a processor, with what differs between them.
///
/// Software emulation on purpose: it is there on every machine, also inside another one.
fn emulator(arch: Arch) -> (&'static str, &'static [&'static str]) {
    match arch {
        // Without cmpxchg16b, which QEMU 10.0 emulates with flags that make Linux 6.12 fault now and then.
        Arch::X86_64 => ("qemu-system-x86_64", &["-cpu", "max,-cx16"]),
        // A processor that signs no pointers: emulating that takes most of the time.
        Arch::Arm64 => ("qemu-system-aarch64", &["-M", "virt", "-cpu", "cortex-a72"]),
    }
}

/// The kernel's name of the console, the device of the report, and where the guest finds it.
fn lines(arch: Arch) -> (&'static str, &'static str, &'static str) {
    match arch {
        Arch::X86_64 => ("ttyS0", "isa-serial,chardev=report", "ttyS1"),
        Arch::Arm64 => ("ttyAMA0", "pci-serial,chardev=report", "ttyS0"),
    }
}

/// What is booted.
pub(crate) struct Guest<'a> {
    pub(crate) arch: Arch,
    /// The kernel.
    pub(crate) image: &'a Path,
    pub(crate) initramfs: &'a Path,
    /// A disk, which stays as it is whatever the guest writes.
    pub(crate) disk: Option<&'a Path>,
}

/// Boots and waits for the guest to switch itself off.
pub(crate) fn boot(place: &Path, guest: &Guest<'_>, verbose: bool) -> Result<Report> {
    let console = place.join("console.log");
    let report = place.join("report.txt");
    for file in [&console, &report] {
        fs::write(file, "")?;
    }
    let chardev = if verbose {
        format!("stdio,id=console,signal=off,logfile={}", console.display())
    } else {
        format!("file,id=console,path={}", console.display())
    };
    let (program, machine) = emulator(guest.arch);
    let (tty, device, told) = lines(guest.arch);
    let mut child = command(program, ["-accel", "tcg,thread=multi"])
        .args(machine)
        .args(["-m", "1024", "-smp", "2", "-no-reboot"])
        .args(["-display", "none", "-nic", "none"])
        .args(["-chardev", &chardev, "-serial", "chardev:console"])
        .args([
            "-chardev",
            &format!("file,id=report,path={}", report.display()),
        ])
        .args(["-device", device])
        .args(guest.disk.iter().flat_map(|disk| {
            let drive = format!("file={},format=raw,if=virtio,snapshot=on", disk.display());
            ["-drive".to_owned(), drive]
        }))
        .arg("-kernel")
        .arg(guest.image)
        .arg("-initrd")
        .arg(guest.initramfs)
        .arg("-append")
        .arg(format!(
            "console={tty} report={told} panic=-1 no_timer_check rdinit=/init quiet"
        ))
        .stdin(Stdio::null())
        .spawn()
        .context("cannot start the emulator")?;
    let patience = patience(guest.arch);
    let ended = wait(&mut child, patience)?;
    let report = Report {
        lines: fs::read_to_string(&report)?
            .lines()
            .map(str::to_owned)
            .collect(),
        console: fs::read_to_string(&console)?,
    };
    if !ended {
        report.show();
        bail!("the guest did not end within {} s", patience.as_secs());
    }
    Ok(report)
}

/// Whether the emulator ended by itself in time.
fn wait(child: &mut Child, timeout: Duration) -> Result<bool> {
    let deadline = Instant::now() + timeout;
    while Instant::now() < deadline {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(100));
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}

impl Report {
    /// The number of checks that passed; fails when one did not, or when the guest did not come
    /// to its end, or under another kernel than the one asked for.
    pub(crate) fn judge(&self, series: &str) -> Result<usize> {
        let count = |start: &str| self.lines.iter().filter(|l| l.starts_with(start)).count();
        let (passed, failed) = (count("ok "), count("FAIL "));
        for line in &self.lines {
            println!("  {}", line.trim_end());
        }
        let ended = self.lines.last().is_some_and(|line| line.trim() == "end");
        if failed > 0 || !ended {
            self.show();
        }
        if !ended {
            bail!("the guest stopped before its end");
        }
        if failed > 0 {
            bail!("{failed} checks failed");
        }
        let release = format!("kernel {series}.");
        if !self.lines.iter().any(|line| line.starts_with(&release)) {
            bail!("another kernel than {series} was booted");
        }
        if passed == 0 {
            bail!("the guest checked nothing");
        }
        Ok(passed)
    }

    /// The console's last lines, for whoever looks into a failure.
    fn show(&self) {
        let lines: Vec<&str> = self.console.lines().collect();
        for line in &lines[lines.len().saturating_sub(60)..] {
            eprintln!("  | {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Report;

    fn judged(lines: &[&str]) -> Option<usize> {
        let report = Report {
            lines: lines.iter().map(|&line| line.to_owned()).collect(),
            console: String::new(),
        };
        report.judge("6.1").ok()
    }

    #[test]
    fn a_guest_passes_when_every_check_does_and_it_came_to_its_end() {
        assert_eq!(judged(&["kernel 6.1.0-50", "ok a", "ok b", "end"]), Some(2));
    }

    #[test]
    fn a_guest_fails_for_a_failed_check_an_early_stop_or_another_kernel() {
        assert_eq!(
            judged(&["kernel 6.1.0-50", "ok a", "FAIL b: why", "end"]),
            None
        );
        assert_eq!(judged(&["kernel 6.1.0-50", "ok a"]), None);
        assert_eq!(judged(&["kernel 6.12.95", "ok a", "end"]), None);
        assert_eq!(judged(&["kernel 6.1.0-50", "end"]), None);
    }
}
