//! `tds-tracer doctor`.

use std::path::PathBuf;

use clap::Args;

use crate::doctor::{DoctorFormat, DoctorOptions};

/// Options of `doctor`, as typed.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// For a person, or for a program
    #[arg(long, value_enum, default_value_t = DoctorFormat::Text)]
    format: DoctorFormat,

    /// As for `run`: the control group whose processes are to be told
    #[arg(long, value_name = "DIRECTORY")]
    cgroup: Option<PathBuf>,
}

impl DoctorArgs {
    pub(super) fn meant(self) -> DoctorOptions {
        let Self { format, cgroup } = self;
        DoctorOptions { format, cgroup }
    }
}
