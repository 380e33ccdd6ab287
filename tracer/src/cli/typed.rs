//! What was typed, with what the environment and files say beside it.

use std::{ffi::OsString, fmt::Display, path::PathBuf};

use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use super::{
    Cli, ConfigFile,
    settings::{Complaint, Settings, effective, with_settings},
};

/// See the module.
pub(super) struct Typed {
    pub(super) cli: Cli,
    pub(super) settings: Settings,
    pub(super) options: Command,
    pub(super) matches: ArgMatches,
}

/// Why there is nothing to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTyped {
    /// The command line is wrong, or asked for help.
    #[error(transparent)]
    Line(#[from] clap::Error),
    /// Files are.
    #[error("{}", several(.0))]
    Files(Vec<Complaint>),
}

fn several(complaints: &[impl Display]) -> String {
    let lines: Vec<_> = complaints.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

/// Reads the command line, and where its command has options that files can set, the files.
pub(super) fn typed(line: impl IntoIterator<Item = OsString>) -> Result<Typed, NotTyped> {
    let line: Vec<OsString> = line.into_iter().collect();
    let definition = Cli::command();
    let options = run_of(&definition);
    let settings = match reads_files(&definition, &line) {
        Some(ConfigFile { file }) => {
            Settings::read(file.as_deref(), &options).map_err(NotTyped::Files)?
        }
        None => Settings::default(),
    };
    let set = |options: Command| with_settings(options, &settings);
    let definition = definition
        .mut_subcommand("run", set)
        .mut_subcommand("config", |config| config.mut_subcommand("show", set));
    let options = run_of(&definition);
    let matches = definition.try_get_matches_from(line)?;
    Ok(Typed {
        cli: Cli::from_arg_matches(&matches)?,
        settings,
        options,
        matches,
    })
}

/// The command whose options files can set.
pub(super) fn run_of(definition: &Command) -> Command {
    let run = definition.find_subcommand("run");
    run.cloned().unwrap_or_default()
}

impl Typed {
    /// The matches of the options that files can set.
    pub(super) fn of_options(&self) -> &ArgMatches {
        let mut matches = &self.matches;
        while let Some((_, below)) = matches.subcommand() {
            matches = below;
        }
        matches
    }

    /// Each option as it was said.
    pub(super) fn said(&self) -> impl Iterator<Item = (String, Vec<OsString>)> {
        let effective = effective(&self.options, self.of_options(), &self.settings);
        effective
            .into_iter()
            .map(|option| (option.name, option.values))
    }
}

/// Which file is named, where the line's command reads files.
fn reads_files(definition: &Command, line: &[OsString]) -> Option<ConfigFile> {
    let peeked = definition.clone().ignore_errors(true);
    let matches = peeked.try_get_matches_from(line).ok()?;
    let (name, below) = matches.subcommand()?;
    let below = match (name, below.subcommand()) {
        ("run" | "reload", _) => below,
        ("config", Some(("check" | "show", below))) => below,
        _ => return None,
    };
    let mut named = below.get_raw("file").into_iter().flatten();
    let file = named.next().map(PathBuf::from);
    Some(ConfigFile { file })
}
