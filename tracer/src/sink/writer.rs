//! The thread that writes: renders what is queued, numbers it, and says what was dropped.

use std::{
    io::{self, BufWriter, ErrorKind, Write as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, TryRecvError},
    },
    thread,
    time::Duration,
};

use super::{Render, file::Target};
use crate::{
    confine::{Needs, confine},
    record::{Body, Count, LineError, Loss, LossReason, LossRecord, Record, Timestamp},
};

/// How long the writer lets records gather before it writes them out: being woken for each costs
/// the sender more than all else.
pub(super) const LULL: Duration = Duration::from_millis(2);

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records written, those about loss included.
    pub written: u64,
    /// Records dropped because the reader was too slow.
    pub dropped: u64,
}

pub(super) enum Message {
    Records(Vec<Record>),
    /// From here on they are written there.
    Target(Box<dyn Target>),
    /// From here on they are written so.
    Render(Box<dyn Render>),
    /// From here on this thread needs no more than this.
    Confine(Needs),
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    dropped: Mutex<Option<Dropped>>,
    /// Records handed over and not rendered yet.
    pub(super) waiting: AtomicUsize,
    /// Records written.
    pub(super) written: AtomicU64,
    /// Records dropped, reported or not.
    pub(super) lost: AtomicU64,
    /// Several records are handed over at once.
    pub(super) gathers: AtomicBool,
    pub(super) closed: AtomicBool,
}

/// Records dropped since the last report.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dropped {
    pub(super) count: u64,
    since: Timestamp,
    until: Timestamp,
}

impl Shared {
    pub(super) fn count_dropped(&self, at: Timestamp) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = dropped.get_or_insert(Dropped {
            count: 0,
            since: at,
            until: at,
        });
        dropped.count += 1;
        dropped.until = dropped.until.max(at);
    }

    pub(super) fn take_dropped(&self) -> Option<Dropped> {
        self.dropped
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// Writes what comes through the queue.
pub(super) struct Writer {
    target: BufWriter<Box<dyn Target>>,
    render: Box<dyn Render>,
    shared: Arc<Shared>,
    line: Vec<u8>,
    /// Records written since dropped ones were last reported.
    since_report: usize,
    capacity: usize,
    summary: Summary,
}

impl Writer {
    pub(super) fn new(
        target: Box<dyn Target>,
        render: Box<dyn Render>,
        shared: Arc<Shared>,
        capacity: usize,
    ) -> Self {
        Self {
            target: BufWriter::with_capacity(64 * 1024, target),
            render,
            shared,
            line: Vec::with_capacity(4096),
            since_report: 0,
            capacity,
            summary: Summary::default(),
        }
    }

    /// Writes until nobody can send any more, or the reader has gone.
    pub(super) fn run(mut self, records: &Receiver<Message>) -> io::Result<Summary> {
        let written = self.write_all(records);
        self.shared.closed.store(true, Ordering::Release);
        // A buffer that could not be written is given up, or its drop would try once more.
        let Self {
            target, summary, ..
        } = self;
        drop(target.into_parts());
        match written {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
            _ => Ok(summary),
        }
    }

    fn write_all(&mut self, records: &Receiver<Message>) -> io::Result<()> {
        let mut rested = false;
        loop {
            let message = match records.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) if !self.target.buffer().is_empty() && !rested => {
                    thread::sleep(LULL);
                    rested = true;
                    continue;
                }
                Err(TryRecvError::Empty) => {
                    self.report_dropped()?;
                    self.target.flush()?;
                    let Ok(message) = records.recv() else { break };
                    message
                }
            };
            rested = false;
            let batch = match message {
                Message::Records(batch) => batch,
                Message::Target(target) => {
                    self.target.flush()?;
                    *self.target.get_mut() = target;
                    continue;
                }
                Message::Confine(needs) => {
                    for step in confine(&needs) {
                        tracing::debug!("while writing, {}: {:?}", step.what, step.held);
                    }
                    continue;
                }
                Message::Render(render) => {
                    self.render = render;
                    continue;
                }
            };
            // Who gathers records has waited for others already.
            rested = self.shared.gathers.load(Ordering::Relaxed);
            for record in batch {
                self.shared.waiting.fetch_sub(1, Ordering::AcqRel);
                self.write(&record)?;
                // With a reader that is always behind the queue never empties.
                if self.since_report >= self.capacity {
                    self.report_dropped()?;
                }
            }
        }
        self.report_dropped()?;
        self.target.flush()
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        self.since_report += 1;
        if self.render(record).is_err() {
            let at = record.timestamp;
            return self.write_loss(LossReason::RecordTooLarge, 1, at, at);
        }
        self.write_line()
    }

    fn report_dropped(&mut self) -> io::Result<()> {
        self.since_report = 0;
        let Some(Dropped {
            count,
            since,
            until,
        }) = self.shared.take_dropped()
        else {
            return Ok(());
        };
        self.summary.dropped += count;
        self.write_loss(LossReason::OutputBlocked, count, since, until)
    }

    fn write_loss(
        &mut self,
        reason: LossReason,
        count: u64,
        since: Timestamp,
        until: Timestamp,
    ) -> io::Result<()> {
        let loss = Loss {
            reason,
            stranger: None,
            count: Count(count),
            since,
        };
        let record = Record {
            timestamp: until,
            body: Body::Loss(LossRecord { loss }),
        };
        self.render(&record)?;
        self.write_line()
    }

    /// Renders the record as the next of those that are written.
    fn render(&mut self, record: &Record) -> Result<(), LineError> {
        self.line.clear();
        let number = self.summary.written + 1;
        self.render.render(record, number, &mut self.line)
    }

    fn write_line(&mut self) -> io::Result<()> {
        let ahead = self.target.buffer().len() + self.line.len();
        if !self.target.get_ref().has_room(ahead) {
            self.target.flush()?;
            self.target.get_mut().make_room(self.line.len())?;
        }
        self.target.write_all(&self.line)?;
        self.summary.written += 1;
        self.shared
            .written
            .store(self.summary.written, Ordering::Relaxed);
        Ok(())
    }
}
