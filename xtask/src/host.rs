//! What this machine has and allows.

use std::{
    env,
    fmt::{self, Display},
    fs,
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
};

/// Something is missing that only the machine's owner can give. Ends the run with status 2.
#[derive(Debug)]
pub(crate) struct Lacking(pub(crate) String);

impl Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Lacking {}

/// Whether this process is root, by the owner of its own entry in `/proc`.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}

/// Fails with the mend unless this process is root.
pub(crate) fn require_root(what: &str) -> Result<(), Lacking> {
    if is_root() {
        return Ok(());
    }
    Err(Lacking(format!(
        "{what} needs root: run it with `sudo -E env PATH=\"$PATH\"` before it"
    )))
}

/// Where a program is, also in the directories that only root's `PATH` names.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}

/// Whether this run is in continuous integration, where nothing may be skipped.
pub(crate) fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}
