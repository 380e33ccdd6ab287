//! The thread that writes: renders what is queued, numbers it, and says what was dropped.

use std::{
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    },
    thread,
    time::Duration,
};

use super::{
    Render,
    line::Line,
    outlet::{Outlet, Start},
    shared::{Lost, Shared},
};
use crate::{
    confine::confine,
    record::{Body, Event, LineError, Loss, LossReason, LossRecord, Record, Severity, Timestamp},
};

/// How long the writer lets records gather before it writes them out: being woken for each costs
/// the sender more than all else.
pub(super) const LULL: Duration = Duration::from_millis(2);

/// How long the writer waits for records before it looks whether something was lost.
const LOOK: Duration = Duration::from_secs(1);

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
    Outlet(Box<dyn Outlet>),
    /// From here on they are written so.
    Render(Box<dyn Render>),
    /// From here on this thread is at work, with this.
    Begin(Start),
}

/// Writes what comes through the queue.
pub(super) struct Writer {
    outlet: Box<dyn Outlet>,
    render: Box<dyn Render>,
    shared: Arc<Shared>,
    line: Line,
    /// Records written since dropped ones were last reported.
    since_report: usize,
    capacity: usize,
    summary: Summary,
}

impl Writer {
    pub(super) fn new(
        outlet: Box<dyn Outlet>,
        render: Box<dyn Render>,
        shared: Arc<Shared>,
        capacity: usize,
    ) -> Self {
        Self {
            outlet,
            render,
            shared,
            line: Line {
                event: Event::Agent,
                severity: Severity::Info,
                at: Timestamp(0),
                bytes: Vec::with_capacity(4096),
            },
            since_report: 0,
            capacity,
            summary: Summary::default(),
        }
    }

    /// Writes until nobody can send any more, or the reader has gone.
    pub(super) fn run(mut self, records: &Receiver<Message>) -> io::Result<Summary> {
        let written = self.write_all(records);
        if written.is_ok() {
            self.outlet.end();
        }
        self.shared.closed.store(true, Ordering::Release);
        if written.is_ok() && self.outlet.lacks_lines() {
            return Err(io::Error::other("not every line could be written"));
        }
        match written {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
            _ => Ok(self.summary),
        }
    }

    fn write_all(&mut self, records: &Receiver<Message>) -> io::Result<()> {
        let mut rested = false;
        loop {
            let message = match records.try_recv() {
                Ok(message) => message,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) if self.outlet.is_waiting() && !rested => {
                    thread::sleep(LULL);
                    rested = true;
                    continue;
                }
                Err(TryRecvError::Empty) => {
                    self.let_go()?;
                    match records.recv_timeout(LOOK) {
                        Ok(message) => message,
                        // Whoever hands over may have lost something meanwhile.
                        Err(RecvTimeoutError::Timeout) => continue,
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                }
            };
            rested = false;
            let batch = match message {
                Message::Records(batch) => batch,
                Message::Outlet(outlet) => {
                    self.outlet.flush()?;
                    self.outlet = outlet;
                    continue;
                }
                Message::Begin(start) => {
                    // What the outlet has running begins with what this thread still has.
                    self.outlet.begin(&start);
                    for step in start.needs.iter().flat_map(confine) {
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
                    self.report_lost()?;
                }
            }
        }
        self.let_go()
    }

    /// Writes out what is gathered, and says what was lost.
    fn let_go(&mut self) -> io::Result<()> {
        self.report_lost()?;
        self.outlet.flush()?;
        // What the outlet did not get rid of shows by then.
        self.report_lost()?;
        self.outlet.flush()
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        self.since_report += 1;
        if self.render(record).is_err() {
            let (event, at) = (record.body.event(), record.timestamp);
            self.shared
                .count_lost(LossReason::RecordTooLarge, event, at);
            return self.report_lost();
        }
        self.write_line()
    }

    fn report_lost(&mut self) -> io::Result<()> {
        self.since_report = 0;
        for (reason, lost) in self.shared.take_lost() {
            if reason == LossReason::OutputBlocked {
                self.summary.dropped += lost.count;
            }
            self.write_loss(reason, lost)?;
        }
        Ok(())
    }

    fn write_loss(&mut self, reason: LossReason, gone: Lost) -> io::Result<()> {
        let loss = Loss {
            reason,
            stranger: None,
            count: gone.count.into(),
            events: gone.events,
            since: gone.since,
        };
        let record = Record {
            timestamp: gone.until,
            body: Body::Loss(LossRecord { loss }),
        };
        self.render(&record)?;
        self.write_line()
    }

    /// Renders the record as the next of those that are written.
    fn render(&mut self, record: &Record) -> Result<(), LineError> {
        let number = self.summary.written + 1;
        let Line {
            event,
            severity,
            at,
            bytes,
        } = &mut self.line;
        bytes.clear();
        *event = record.body.event();
        *severity = self.render.severity(record);
        *at = record.timestamp;
        self.render.render(record, number, bytes)
    }

    fn write_line(&mut self) -> io::Result<()> {
        self.outlet.take(&self.line)?;
        self.summary.written += 1;
        self.shared
            .written
            .store(self.summary.written, Ordering::Relaxed);
        Ok(())
    }
}
