//! Reads captures.

use std::process::ExitCode;

use crate::cli::ReplayOptions;

/// Reads captures.
pub fn replay(_options: &ReplayOptions) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`replay` is not built yet")
}
