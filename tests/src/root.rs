//! What needs root says so, and is not skipped unnoticed.

use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// Whether this process may make network namespaces.
pub fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| {
        let id = Command::new("id").arg("-u").output();
        id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
    })
}

/// Says that a test is skipped for want of root, and how many are by now.
///
/// # Panics
/// Where skipping is a failure: with `CI=true` or `TDS_TRACER_REQUIRE_ROOT=1`.
pub fn skip(why: &str) {
    let set = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    assert!(
        !set("CI", "true") && !set("TDS_TRACER_REQUIRE_ROOT", "1"),
        "needs root, and may not be skipped here: {why}"
    );
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    eprintln!("SKIPPED (needs root): {why} [{count} skipped so far]");
}

/// Returns from a test, saying why, unless it runs as root.
#[macro_export]
macro_rules! root_or_skip {
    ($why:expr) => {
        if !$crate::root::is_root() {
            $crate::root::skip($why);
            return;
        }
    };
}
