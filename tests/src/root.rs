//! What cannot run here says so, and is not skipped unnoticed.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// Whether this process may make network namespaces.
pub fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| {
        let id = Command::new("id").arg("-u").output();
        id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
    })
}

/// Says that something is skipped, what it lacks, and how many are by now.
///
/// # Panics
/// Where skipping is a failure: with `CI=true` or `TDS_TRACER_REQUIRE_ROOT=1`.
pub fn skip(lacks: &str, what: &str) {
    let set = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    assert!(
        !set("CI", "true") && !set("TDS_TRACER_REQUIRE_ROOT", "1"),
        "needs {lacks}, and may not be skipped here: {what}"
    );
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    // Not by `eprintln`, which the test runner hides of tests that pass.
    let line = format!("SKIPPED (needs {lacks}): {what} [{count} skipped so far]\n");
    std::io::stderr().write_all(line.as_bytes()).ok();
}

/// Mounts the tracing file system where it belongs, unless somebody has: not every host does when it starts.
///
/// # Errors
/// Where this may not be done.
pub fn mount_tracing() -> Result<()> {
    let place = Path::new("/sys/kernel/tracing");
    if place.join("events").is_dir() {
        return Ok(());
    }
    let mut mount = Command::new("mount");
    let status = mount.args(["-t", "tracefs", "tracefs"]).arg(place).status();
    ensure!(status?.success(), "cannot mount {}", place.display());
    Ok(())
}

/// Returns from a test, saying so, unless it runs as root.
#[macro_export]
macro_rules! root_or_skip {
    ($what:expr) => {
        if !$crate::root::is_root() {
            $crate::root::skip("root", $what);
            return;
        }
    };
}

/// Returns from a test, saying so, unless a driver is there.
#[macro_export]
macro_rules! driver_or_skip {
    ($driver:expr) => {
        if $driver.missing() {
            return;
        }
    };
}
