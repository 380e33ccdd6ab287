//! Says what this host allows.

use std::process::ExitCode;

use crate::cli::DoctorOptions;

/// Says what this host allows.
pub fn doctor(_options: &DoctorOptions) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`doctor` is not built yet")
}
