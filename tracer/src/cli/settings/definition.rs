//! The options as clap knows them, and what is set of them.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};

use super::{Complaint, OPTION, Setting, Settings};
use crate::cli::one_line;

/// The environment's name of an option.
pub(super) fn variable(name: &str) -> String {
    format!("TDS_TRACER_{}", name.replace('-', "_").to_uppercase())
}

/// The options that a file may set, with their names.
pub(super) fn settable(options: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    options
        .get_arguments()
        .filter_map(|arg| Some((arg.get_long()?, arg)))
        .filter(|(_, arg)| is_settable(arg))
}

fn is_settable(arg: &Arg) -> bool {
    let name = arg.get_long().unwrap_or_default();
    let shows = matches!(
        arg.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
    );
    !name.is_empty() && name != OPTION && !arg.is_hide_set() && !shows
}

/// Whether it is set by being there, without a value.
pub(super) fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// Whether it may be given more than once.
pub(super) fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// The values as this option takes them: a list in one, where it may be given once only.
fn values(setting: &Setting, arg: &Arg) -> Vec<String> {
    if is_list(arg) {
        setting.values.clone()
    } else {
        vec![setting.values.join(",")]
    }
}

/// Fails where no option has that name, and where it does not take that value.
pub(super) fn check(setting: &Setting, options: &Command) -> Result<(), Complaint> {
    let complaint = |what| Complaint {
        place: setting.place.clone(),
        what,
    };
    let Setting { name, .. } = setting;
    let Some((_, arg)) = settable(options).find(|(known, _)| known == name) else {
        return Err(complaint(unknown(name, options)));
    };
    if is_switch(arg) {
        let is_word =
            matches!(setting.values.as_slice(), [word] if word == "true" || word == "false");
        return if is_word {
            Ok(())
        } else {
            Err(complaint(format!("`{name}` is true or false")))
        };
    }
    let typed = values(setting, arg);
    let typed = typed.iter().map(|value| format!("--{name}={value}"));
    let options = options.clone().no_binary_name(true);
    options
        .try_get_matches_from(typed)
        .map(drop)
        .map_err(|error| complaint(one_line(&error)))
}

fn unknown(name: &str, options: &Command) -> String {
    let likeness = |known: &str| strsim::jaro(name, known);
    let nearest = settable(options)
        .map(|(known, _)| known)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .filter(|known| likeness(known) > 0.7);
    match nearest {
        Some(nearest) => format!("there is no `{name}`; did you mean `{nearest}`?"),
        None => format!("there is no `{name}`: `tds-tracer config show` has all names"),
    }
}

/// The options, as they are where the files are not silent.
pub(in crate::cli) fn with_settings(options: Command, settings: &Settings) -> Command {
    options.mut_args(|arg| {
        if !is_settable(&arg) {
            return arg;
        }
        let name = arg.get_long().unwrap_or_default().to_owned();
        let arg = arg.env(variable(&name)).hide_env(true);
        match settings.of(&name) {
            Some(setting) => {
                let values = values(setting, &arg);
                arg.default_values(values)
            }
            None => arg,
        }
    })
}

/// An option as it is in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Effective {
    pub(in crate::cli) name: String,
    /// None where it is not set.
    pub(in crate::cli) values: Vec<OsString>,
    /// Whether it may have several.
    pub(in crate::cli) is_list: bool,
    /// Who says so: the built-in default, a place in a file, a variable, or the command line.
    pub(in crate::cli) source: String,
}

/// All options as they are in effect.
pub(in crate::cli) fn effective(
    options: &Command,
    matches: &ArgMatches,
    settings: &Settings,
) -> Vec<Effective> {
    let one = |(name, arg): (&str, &Arg)| {
        let id = arg.get_id().as_str();
        let values = matches
            .get_raw(id)
            .map(|values| values.map(Into::into).collect());
        let source = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => format!("--{name}"),
            Some(ValueSource::EnvVariable) => variable(name),
            Some(_) if settings.of(name).is_some() => settings
                .of(name)
                .map(|setting| setting.place.to_string())
                .unwrap_or_default(),
            Some(_) => "default".to_owned(),
            None => "not set".to_owned(),
        };
        Effective {
            name: name.to_owned(),
            values: values.unwrap_or_default(),
            is_list: is_list(arg),
            source,
        }
    };
    settable(options).map(one).collect()
}
