//! `tds-tracer doctor`.

use clap::Args;

use crate::doctor::{DoctorFormat, DoctorOptions};

/// Options of `doctor`, as typed.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// For a person, or for a program
    #[arg(long, value_enum, default_value_t = DoctorFormat::Text)]
    format: DoctorFormat,
}

impl DoctorArgs {
    pub(super) fn meant(self) -> DoctorOptions {
        let Self { format } = self;
        DoctorOptions { format }
    }
}
