//! `tds-tracer config`: what the files say, and what comes of it.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use clap::{ArgMatches, Args, Command, Subcommand};

use super::{
    RunArgs, print,
    settings::{Settings, as_toml, effective, schema, template},
};

/// Which file is read.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigFile {
    /// Read this file and the `conf.d/*.toml` beside it, instead of `/etc/tds-tracer/config.toml`; also as
    /// `TDS_TRACER_CONFIG`
    #[arg(long = "config", value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
}

/// What is to be done with the configuration.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether the files are right, and where not.
    Check(ConfigFile),
    /// Print each option of `run` as it is in effect, and who says so: `config show --slow 250` has the
    /// command line's too.
    Show(Box<RunArgs>),
    /// Print a file that has every option with what it is for, and sets none.
    Template,
    /// Print the JSON Schema of the files.
    Schema,
}

/// The files are right: anything else was said before.
pub(super) fn checked(settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    for file in &settings.files {
        writeln!(text, "{}: right", file.display())?;
    }
    if settings.files.is_empty() {
        text.push_str("there is no file; the built-in defaults are in effect\n");
    }
    print(text.as_bytes())
}

/// Prints the options as a file could have them, the source behind each.
pub(super) fn show(
    options: &Command,
    matches: &ArgMatches,
    settings: &Settings,
) -> anyhow::Result<ExitCode> {
    let mut text = String::new();
    for option in effective(options, matches, settings) {
        let values: Vec<String> = option
            .values
            .iter()
            .map(|value| as_toml(&value.to_string_lossy()))
            .collect();
        let line = match values.as_slice() {
            [] => format!("# {} =", option.name),
            [value] if !option.is_list => format!("{} = {value}", option.name),
            values => format!("{} = [{}]", option.name, values.join(", ")),
        };
        writeln!(text, "{line:<40}  # {}", option.source)?;
    }
    print(text.as_bytes())
}

pub(super) fn print_template(options: &Command) -> anyhow::Result<ExitCode> {
    print(template(options).as_bytes())
}

pub(super) fn print_schema(options: &Command) -> anyhow::Result<ExitCode> {
    print(schema(options).as_bytes())
}
