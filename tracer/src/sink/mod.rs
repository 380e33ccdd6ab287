//! Where records go: JSON lines, or a timeline for a person; files, pipes, and whoever takes them on this host or
//! across the network.
//!
//! [`Filter`] decides what is said, a [`Render`] how, and an [`Output`] writes it without ever holding
//! up whoever produces it; [`Outputs`] are several at once. What crosses the network waits in a [`spool`]. A kind of
//! [`Receiver`] is a file of its own: it hands over lines, and says what became of them.

mod address;
mod deliver;
mod figures;
mod file;
mod filter;
mod importance;
mod journald;
mod lasting;
mod line;
mod otlp;
mod outlet;
mod outputs;
mod pretty;
mod queue;
mod receiver;
mod shared;
mod socket;
pub mod spool;
mod syslog;
mod tls;
mod writer;

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use anstream::{AutoStream, ColorChoice};

pub(crate) use self::pretty::why;
pub use self::{
    address::{Address, Host},
    figures::Figures,
    file::Bound,
    filter::{EventSet, EventSetError, Filter},
    journald::{Journald, USUAL as JOURNAL},
    line::Line,
    otlp::{Otlp, Protocol},
    outputs::Outputs,
    pretty::Pretty,
    queue::{Output, Overflow, Progress, Sent},
    receiver::Receiver,
    socket::SocketReceiver,
    spool::SpoolSettings,
    syslog::{FACILITIES, Syslog},
    tls::Tls,
    writer::Summary,
};
use crate::{
    confine::Needs,
    record::{Event, LineError, LineFormat, Naming, Record, RunId, Severity},
};

/// Turns a record into bytes.
pub trait Render: Send {
    /// Appends what is to be written of the record, the `number`th of those that are written.
    fn render(&mut self, record: &Record, number: u64, out: &mut Vec<u8>) -> Result<(), LineError>;

    /// How much the record matters.
    fn severity(&self, record: &Record) -> Severity {
        record.body.severity(None)
    }
}

impl Render for LineFormat {
    fn render(&mut self, record: &Record, number: u64, out: &mut Vec<u8>) -> Result<(), LineError> {
        self.append(record, number, out)
    }

    fn severity(&self, record: &Record) -> Severity {
        record.body.severity(self.slow)
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
    /// Somebody who takes lines, and where they wait for that; in memory only where the network does not lie between.
    Receiver(Receiver, Option<SpoolSettings>),
}

/// How records are written.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What it is called, among several.
    pub name: String,
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

    /// What the threads that write need once they are at work.
    pub fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        match &self.destination {
            Destination::Stdout => {}
            // It is moved away, and opened anew, in its folder.
            Destination::File(path, _) => needs.writes.push(folder(path).to_owned()),
            Destination::Receiver(receiver, spool) => {
                needs
                    .writes
                    .extend(spool.iter().map(|spool| spool.directory.clone()));
                // Whoever opens a socket there writes to it.
                needs
                    .writes
                    .extend(receiver.path().as_deref().map(folder).map(Path::to_owned));
                if let Some(port) = receiver.port() {
                    needs.connects.push(port);
                    needs.resolves = true;
                }
            }
        }
        needs
    }

    /// Whether it tells what is counted and measured, too.
    pub fn tells_figures(&self) -> bool {
        matches!(&self.destination, Destination::Receiver(receiver, _) if receiver.tells_figures())
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

/// The folder of a file.
fn folder(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}
