//! Watches live connections.

use std::process::ExitCode;

use crate::cli::RunOptions;

/// Watches live connections.
pub fn run(_options: &RunOptions) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`run` is not built yet")
}
