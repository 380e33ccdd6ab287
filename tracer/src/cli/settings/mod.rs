//! Options that files and the environment set, beside the command line.
//!
//! An option is defined once, in the structs that clap reads: `--max-flows` there is `max-flows` in a file and
//! `TDS_TRACER_MAX_FLOWS` in the environment. What files say becomes the definition's default, so the command line goes
//! before the environment, that before the files, and these before what is built in; and a value is read by the same
//! parser wherever it stands.

mod definition;
mod file;
mod schema;
mod template;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use clap::Command;

pub(super) use self::{
    definition::{effective, with_settings},
    file::{Complaint, Setting},
    schema::schema,
    template::{as_toml, template},
};

/// Where files are looked for unless one is named.
const USUAL: &str = "/etc/tds-tracer/config.toml";
/// Beside the file: what its own files say goes before it, the later name before the earlier.
const FOLDER: &str = "conf.d";
/// Names the file in place of the usual one.
const NAMED: &str = "TDS_TRACER_CONFIG";
/// The option that names it, which no file can.
const OPTION: &str = "config";

/// What files say, the last word on each option.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// The files that were read, in order.
    pub(super) files: Vec<PathBuf>,
    said: Vec<Setting>,
}

impl Settings {
    /// Reads the file that is named, or the usual one if there is one, and the folder beside it; checks all of it
    /// by the definition of the command that has the options.
    pub(super) fn read(named: Option<&Path>, options: &Command) -> Result<Self, Vec<Complaint>> {
        let from_environment = env::var_os(NAMED).map(PathBuf::from);
        let named = named.or(from_environment.as_deref());
        let first = named.unwrap_or(Path::new(USUAL));
        let mut settings = Self::default();
        let mut complaints = Vec::new();
        let beside = folder(&first.with_file_name(FOLDER)).unwrap_or_else(|complaint| {
            complaints.push(complaint);
            Vec::new()
        });
        for path in std::iter::once(first.to_owned()).chain(beside) {
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if is_absent(&error) && named.is_none() && path == first => continue,
                Err(error) => {
                    complaints.push(Complaint::of_file(&path, &error));
                    continue;
                }
            };
            match file::settings(&path, &text) {
                Ok(said) => settings.take(said, options, &mut complaints),
                Err(complaint) => complaints.push(complaint),
            }
            settings.files.push(path);
        }
        if complaints.is_empty() {
            Ok(settings)
        } else {
            Err(complaints)
        }
    }

    fn take(&mut self, said: Vec<Setting>, options: &Command, complaints: &mut Vec<Complaint>) {
        for setting in said {
            if let Err(complaint) = definition::check(&setting, options) {
                complaints.push(complaint);
                continue;
            }
            self.said.retain(|earlier| earlier.name != setting.name);
            self.said.push(setting);
        }
    }

    /// What is said of an option.
    pub(super) fn of(&self, name: &str) -> Option<&Setting> {
        self.said.iter().find(|setting| setting.name == name)
    }
}

/// The files of the folder, by name.
fn folder(path: &Path) -> Result<Vec<PathBuf>, Complaint> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(Complaint::of_file(path, &error)),
    };
    let files = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut files: Vec<PathBuf> = files
        .collect::<io::Result<_>>()
        .map_err(|error| Complaint::of_file(path, &error))?;
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "toml")
    });
    files.sort();
    Ok(files)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests;
