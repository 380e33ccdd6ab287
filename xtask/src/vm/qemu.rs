//! The emulator, and what the guest says on its second serial line.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::process::command;

/// Emulation is slow and this machine may be busy: a boot with all checks takes well under a minute.
const TIMEOUT: Duration = Duration::from_mins(10);

/// What the guest reported, line by line.
pub(crate) struct Report {
    lines: Vec<String>,
    console: String,
}

/// Boots and waits for the guest to switch itself off.
pub(crate) fn boot(place: &Path, image: &Path, initramfs: &Path, verbose: bool) -> Result<Report> {
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
    // Software emulation on purpose: it is there on every machine, also inside another one.
    // Without cmpxchg16b, which QEMU 10.0 emulates with flags that make Linux 6.12 fault now and then.
    let mut child = command(
        "qemu-system-x86_64",
        ["-accel", "tcg,thread=multi", "-cpu", "max,-cx16"],
    )
    .args([
        "-m",
        "1024",
        "-smp",
        "2",
        "-no-reboot",
        "-display",
        "none",
        "-nic",
        "none",
    ])
    .args(["-chardev", &chardev, "-serial", "chardev:console"])
    .args(["-serial", &format!("file:{}", report.display())])
    .arg("-kernel")
    .arg(image)
    .arg("-initrd")
    .arg(initramfs)
    .args([
        "-append",
        "console=ttyS0 panic=-1 no_timer_check rdinit=/init quiet",
    ])
    .stdin(Stdio::null())
    .spawn()
    .context("cannot start the emulator")?;
    let ended = wait(&mut child, TIMEOUT)?;
    let report = Report {
        lines: fs::read_to_string(&report)?
            .lines()
            .map(str::to_owned)
            .collect(),
        console: fs::read_to_string(&console)?,
    };
    if !ended {
        report.show();
        bail!("the guest did not end within {} s", TIMEOUT.as_secs());
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
