//! Where records go: JSON lines, or a timeline for a person.
//!
//! [`Filter`] decides what is said, a [`Render`] how, and [`Output`] writes it without ever holding
//! up whoever produces it.

mod file;
mod filter;
mod pretty;
mod queue;
mod writer;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

use anstream::{AutoStream, ColorChoice};

pub(crate) use self::pretty::why;
pub use self::{
    file::Bound,
    filter::{EventSet, EventSetError, Filter},
    pretty::Pretty,
    queue::{Output, Overflow, Progress, Sent},
    writer::Summary,
};
use crate::record::{Event, LineError, LineFormat, Naming, Record, RunId};

/// Turns a record into bytes.
pub trait Render: Send {
    /// Appends what is to be written of the record, the `number`th of those that are written.
    fn render(&mut self, record: &Record, number: u64, out: &mut Vec<u8>) -> Result<(), LineError>;
}

impl Render for LineFormat {
    fn render(&mut self, record: &Record, number: u64, out: &mut Vec<u8>) -> Result<(), LineError> {
        self.append(record, number, out)
    }
}

/// For whom the output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a program: JSON lines.
    Json(Naming),
    /// For a person.
    Pretty,
}

/// Where the output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file, appended to, with a bound or without; see [`Output::reopen`].
    File(PathBuf, Option<Bound>),
}

/// How records are written.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to.
    pub destination: Destination,
    /// For whom.
    pub format: Format,
    /// The start of the agent whose records they are.
    pub run: RunId,
    /// Which records.
    pub filter: Filter,
    /// What happens when the reader is slower than the records come.
    pub overflow: Overflow,
}

impl Settings {
    /// Opens the output for records of this host.
    pub fn open(&self, host: &str) -> io::Result<Output> {
        Output::open(
            &self.destination,
            self.render(host),
            self.filter.clone(),
            self.overflow,
        )
    }

    /// What turns this host's records into bytes.
    fn render(&self, host: &str) -> Box<dyn Render> {
        match self.format {
            Format::Json(naming) => Box::new(LineFormat {
                run: self.run,
                slow: self.filter.slow,
                ..LineFormat::new(host, naming)
            }),
            Format::Pretty => Box::new(Pretty::new(
                self.wants_colour(),
                self.filter.wants(Event::Login),
            )),
        }
    }

    /// On a terminal that can, unless `NO_COLOR` and its kin say otherwise.
    fn wants_colour(&self) -> bool {
        let stdout = io::stdout();
        self.destination == Destination::Stdout
            && stdout.is_terminal()
            && AutoStream::choice(&stdout) != ColorChoice::Never
    }
}
