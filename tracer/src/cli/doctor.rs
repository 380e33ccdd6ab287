//! `tds-tracer doctor`.

use clap::{Args, ValueEnum};

/// Options of `doctor`, as typed.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// For a person, or for a program
    #[arg(long, value_enum, default_value_t = DoctorFormat::Text)]
    format: DoctorFormat,
}

/// How `doctor` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DoctorFormat {
    /// For a person.
    Text,
    /// For a program.
    Json,
}

/// What `doctor` is to do.
#[derive(Clone, Debug)]
pub struct DoctorOptions {
    /// How it answers.
    pub format: DoctorFormat,
}

impl DoctorArgs {
    pub(super) fn meant(self) -> DoctorOptions {
        let Self { format } = self;
        DoctorOptions { format }
    }
}
