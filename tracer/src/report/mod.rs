//! `tds-tracer report`: what happened, to look at and to hand on: one page, made of an agent's lines or of captures.
//!
//! | module | |
//! |---|---|
//! | `read`, `line` | what it is made of |
//! | `gather`, `timeline`, `slow_ones`, `spread` | what is kept of it, in bounded memory |
//! | `facts`, `verdict`, `outcomes`, `waterfall`, `keys` | what is said |
//! | `html`, `draw`, `markdown` | how it is written |

mod draw;
mod facts;
mod gather;
mod html;
mod keys;
pub(crate) mod line;
mod markdown;
mod outcomes;
mod read;
mod slow_ones;
mod spread;
#[cfg(test)]
mod tests;
pub(crate) mod text;
mod timeline;
mod verdict;
pub(crate) mod waterfall;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;

use self::{facts::Facts, gather::Gathered};
use crate::{exit::PARTIAL, record::Nanos};

/// What a report is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A page for a browser, which needs nothing else.
    Html,
    /// Text for a ticket or a chat.
    Markdown,
    /// The same facts for a program.
    Json,
}

/// What `report` is to do.
#[derive(Clone, Debug)]
pub struct ReportOptions {
    /// Lines of the agent, or captures; `-` is standard input, of lines.
    pub files: Vec<PathBuf>,
    /// Of another time, with which phases are compared.
    pub compare: Option<PathBuf>,
    /// What it is written in.
    pub form: Form,
    /// What takes longer is slow.
    pub slow: Nanos,
    /// Logins that are shown whole.
    pub worst: usize,
    /// Where to; standard output unless given.
    pub output: Option<PathBuf>,
}

/// Writes a report.
///
/// # Errors
/// Where none of the files can be read, or the report can not be written.
pub fn report(options: &ReportOptions) -> anyhow::Result<ExitCode> {
    let (gathered, whole) = gather(&options.files, options)?;
    let before = match &options.compare {
        Some(file) => Some(gather(std::slice::from_ref(file), options)?.0),
        None => None,
    };
    let facts = Facts::new(&gathered, before.as_ref());
    let text = match options.form {
        Form::Html => html::html(&facts)?,
        Form::Markdown => markdown::markdown(&facts)?,
        Form::Json => serde_json::to_string_pretty(&facts)? + "\n",
    };
    match &options.output {
        Some(path) => {
            fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        None => io::stdout().lock().write_all(text.as_bytes())?,
    }
    Ok(if whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(PARTIAL)
    })
}

/// What the files say, and whether all of them could be read.
fn gather(files: &[PathBuf], options: &ReportOptions) -> anyhow::Result<(Gathered, bool)> {
    let mut gathered = Gathered::new(options.slow.0, options.worst);
    let mut failed = None;
    let mut read = 0;
    for file in files {
        match one(file, &mut gathered) {
            Ok(()) => read += 1,
            Err(error) => {
                // Nobody is left to tell where standard error is gone.
                drop(writeln!(io::stderr(), "tds-tracer: {error:#}"));
                failed = Some(error);
            }
        }
    }
    match failed {
        Some(error) if read == 0 => Err(error),
        failed => Ok((gathered, failed.is_none())),
    }
}

fn one(file: &Path, gathered: &mut Gathered) -> anyhow::Result<()> {
    let counted = read::each(file, |line| gathered.take(line))?;
    gathered.unseen.strange += counted.strange;
    if counted.lines == 0 && counted.strange > 0 {
        anyhow::bail!("{}: no line of it is the agent's", file.display());
    }
    Ok(())
}
