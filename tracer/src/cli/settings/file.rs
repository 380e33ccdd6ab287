//! One file: TOML, each key an option's name.

use std::{
    fmt::{self, Display},
    io,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use crate::cli::pairs::Pairs;

/// Where in a file something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Place {
    path: PathBuf,
    /// From one; 0 where the file as a whole is meant.
    line: usize,
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        Ok(())
    }
}

/// What is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub(in crate::cli) struct Complaint {
    pub(super) place: Place,
    pub(super) what: String,
}

impl Complaint {
    pub(super) fn of_file(path: &Path, error: &io::Error) -> Self {
        Self {
            place: Place {
                path: path.to_owned(),
                line: 0,
            },
            what: error.to_string(),
        }
    }
}

/// What is said of one option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Setting {
    pub(super) name: String,
    /// As they would be typed.
    pub(super) values: Vec<String>,
    pub(in crate::cli) place: Place,
}

/// Reads a file's settings in their order.
pub(super) fn settings(path: &Path, text: &str) -> Result<Vec<Setting>, Complaint> {
    let place = |at: usize| Place {
        path: path.to_owned(),
        line: text[..at].matches('\n').count() + 1,
    };
    let table = DeTable::parse(text).map_err(|error| Complaint {
        place: place(error.span().map_or(0, |span| span.start.min(text.len()))),
        what: error.message().to_owned(),
    })?;
    let mut settings = Vec::new();
    for (key, value) in table.get_ref() {
        let place = place(key.span().start);
        let Some(values) = typed(value.get_ref()) else {
            let what = format!(
                "`{}` is a {}: give a text, a number, true, false, or a list of these",
                key.get_ref(),
                value.get_ref().type_str()
            );
            return Err(Complaint { place, what });
        };
        settings.push(Setting {
            name: key.get_ref().to_string(),
            values,
            place,
        });
    }
    settings.sort_by_key(|setting| setting.place.line);
    Ok(settings)
}

/// A value as it would be typed behind the option; a table as its keys and values in one text.
fn typed(value: &DeValue<'_>) -> Option<Vec<String>> {
    match value {
        DeValue::Array(list) => list
            .iter()
            .map(|item| scalar(item.get_ref()).or_else(|| table(item.get_ref())))
            .collect(),
        value => Some(vec![scalar(value)?]),
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    Some(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(is) => is.to_string(),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => return None,
    })
}

/// `[[sink]]`, as `--sink` takes it.
fn table(value: &DeValue<'_>) -> Option<String> {
    let DeValue::Table(table) = value else {
        return None;
    };
    let mut pairs = Vec::new();
    for (key, value) in table {
        let values = match value.get_ref() {
            DeValue::Array(list) => list
                .iter()
                .map(|item| scalar(item.get_ref()))
                .collect::<Option<Vec<_>>>()?,
            value => vec![scalar(value)?],
        };
        pairs.push(Pairs::pair(key.get_ref(), &values.join(",")));
    }
    Some(pairs.join(","))
}
