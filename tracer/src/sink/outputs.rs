//! Several outputs at once: each has its own filter, names, queue and thread, and none waits for another.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Destination, Figures, Output, Progress, Sent, Settings, Summary, outlet::Start};
use crate::record::{Event, Login, Record, SinkStatus, Text};

/// An output with what is known of it.
struct Sink {
    settings: Settings,
    output: Output,
    /// Its trouble was told.
    told: bool,
}

/// See the module.
pub struct Outputs {
    sinks: Vec<Sink>,
}

impl Outputs {
    /// Opens all of them, for records of this host that are handed over so many at once.
    ///
    /// # Errors
    /// Where one of them can not be opened: its name and why.
    pub fn open(all: &[Settings], host: &str, gathered: usize) -> io::Result<Self> {
        let open = |settings: &Settings| {
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("{}: {error}", settings.name))
            };
            Ok(Sink {
                output: settings.open(host).map_err(named)?.gathering(gathered),
                settings: settings.clone(),
                told: false,
            })
        };
        let sinks = all.iter().map(open).collect::<io::Result<_>>()?;
        Ok(Self { sinks })
    }

    /// Whether anybody asked for the event.
    pub fn wants(&self, event: Event) -> bool {
        let mut filters = self.sinks.iter().map(|sink| sink.output.filter());
        filters.any(|filter| filter.wants(event))
    }

    /// Whether anybody is told of a `login` like this.
    pub fn wants_login(&self, login: &Login) -> bool {
        let mut filters = self.sinks.iter().map(|sink| sink.output.filter());
        filters.any(|filter| filter.wants_login(login))
    }

    /// Gives each the record that asked for it.
    pub fn send(&mut self, record: Record) -> Sent {
        let Some((last, others)) = self.sinks.split_last_mut() else {
            return Sent::Closed;
        };
        for sink in others {
            if sink.output.filter().passes(&record) {
                sink.output.send(record.clone());
            }
        }
        last.output.send(record)
    }

    /// Hands over what was gathered.
    pub fn flush(&mut self) {
        for sink in &mut self.sinks {
            sink.output.flush();
        }
    }

    /// Whether a burst might not find room in one of them.
    pub fn are_behind(&self) -> bool {
        self.sinks.iter().any(|sink| sink.output.is_behind())
    }

    /// Nobody is left to write for. One reader that left ends only what was written for it.
    pub fn is_closed(&self) -> bool {
        self.sinks.iter().all(|sink| sink.output.is_closed())
    }

    /// Whether standard output is all that is written to, and its reader has gone.
    pub fn reader_is_gone(&self) -> bool {
        let to_stdout = |sink: &Sink| sink.settings.destination == Destination::Stdout;
        self.sinks.iter().all(to_stdout) && Output::reader_is_gone()
    }

    /// Opens files anew, as [`Output::reopen`]; each as these settings of the same names say. The first complaint is
    /// given once all were tried.
    pub fn reopen(&mut self, all: &[Settings]) -> io::Result<()> {
        let mut opened = Ok(());
        for sink in &mut self.sinks {
            let named = all.iter().find(|one| one.name == sink.settings.name);
            let destination = &named.unwrap_or(&sink.settings).destination;
            opened = opened.and(sink.output.reopen(destination));
        }
        opened
    }

    /// From here on records are chosen and written as the settings of the same names say.
    pub fn set(&mut self, all: &[Settings], host: &str) {
        for sink in &mut self.sinks {
            if let Some(settings) = all.iter().find(|one| one.name == sink.settings.name) {
                sink.output.set(settings, host);
                sink.settings = settings.clone();
            }
        }
    }

    /// All are at work from now on, and give up what they do not need where they are to. Those that tell figures take
    /// them from there.
    pub fn begin(&self, confined: bool, figures: Option<&Arc<dyn Figures>>) {
        for Sink {
            settings, output, ..
        } in &self.sinks
        {
            output.begin(Start {
                needs: confined.then(|| settings.needs()),
                figures: figures.cloned(),
            });
        }
    }

    /// From now on whoever sends waits for readers, for as long as this in all.
    pub fn take_your_time(&mut self, patience: Duration) {
        for sink in &mut self.sinks {
            sink.output.take_your_time(patience);
        }
    }

    /// What became of the records so far, in all of them.
    pub fn progress(&self) -> Progress {
        let mut all = Progress::default();
        for sink in &self.sinks {
            let one = sink.output.progress();
            all.written += one.written;
            all.dropped += one.dropped;
            all.waiting += one.waiting;
        }
        all
    }

    /// How each does, by its name.
    pub fn status(&self) -> BTreeMap<Text, SinkStatus> {
        let sinks = self.sinks.iter();
        sinks
            .map(|sink| {
                (
                    Text::from(sink.settings.name.as_str()),
                    sink.output.status(),
                )
            })
            .collect()
    }

    /// Those that do not go on, and did when this was asked before: their names and why.
    pub fn troubles(&mut self) -> Vec<String> {
        let mut troubles = Vec::new();
        for sink in &mut self.sinks {
            let ended = sink.output.is_closed().then(|| "it has ended".to_owned());
            let trouble = sink.output.trouble().or(ended);
            let was_told = std::mem::replace(&mut sink.told, trouble.is_some());
            if let Some(why) = trouble.filter(|_| !was_told) {
                troubles.push(format!("{}: {why}", sink.settings.name));
            }
        }
        troubles
    }

    /// Writes what is queued and ends, as [`Output::finish`]; the first complaint is given once all were tried.
    pub fn finish(self, patience: Duration) -> io::Result<Summary> {
        let end = Instant::now() + patience;
        let mut all = Ok(Summary::default());
        for sink in self.sinks {
            let left = end.saturating_duration_since(Instant::now());
            let ended = sink.output.finish(left.max(Duration::from_millis(100)));
            all = match (all, ended) {
                (Ok(all), Ok(one)) => Ok(Summary {
                    written: all.written + one.written,
                    dropped: all.dropped + one.dropped,
                }),
                // What can not be written is worse than what is not read.
                (Ok(_), Err(next)) => Err(next),
                (Err(first), Err(next)) if first.kind() == ErrorKind::TimedOut => Err(next),
                (Err(first), _) => Err(first),
            };
        }
        all
    }
}
