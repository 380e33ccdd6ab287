//! `tds-tracer report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values;
use crate::{
    record::Nanos,
    report::{Form, ReportOptions},
};

/// Options of `report`, as typed.
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// Lines of the agent (`run --output`), also compressed, or captures; `-` is standard input, of lines
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Compare how long phases took with those of this file
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,

    /// A page for a browser, text for a ticket or a chat, or the facts for a program
    #[arg(long, value_enum, default_value_t = FormName::Html)]
    format: FormName,

    /// A login that took longer is slow, such as `250ms` or `2s`
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = values::milliseconds)]
    slow: Nanos,

    /// How many of the worst logins are shown with all their parts
    #[arg(long, value_name = "COUNT", default_value_t = 12, value_parser = clap::value_parser!(u16).range(0..=200))]
    worst: u16,

    /// Write to a file instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormName {
    Html,
    Md,
    Json,
}

impl ReportArgs {
    pub(super) fn meant(self) -> ReportOptions {
        let Self {
            files,
            compare,
            format,
            slow,
            worst,
            output,
        } = self;
        ReportOptions {
            files,
            compare,
            form: match format {
                FormName::Html => Form::Html,
                FormName::Md => Form::Markdown,
                FormName::Json => Form::Json,
            },
            slow,
            worst: worst.into(),
            output,
        }
    }
}
