//! Handing over records without being held up: a bounded queue in front of the writer.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    Destination, Filter, Render, Settings,
    deliver::Direct,
    file::{Appended, Endless, Target},
    importance,
    lasting::Lasting,
    outlet::{Outlet, Start, Stream},
    shared::Shared,
    spool::Spooled,
    writer::{LULL, Message, Summary, Writer},
};
use crate::record::{Count, LossReason, Record, SinkStatus, Text, Timestamp};

/// Records that wait for the writer: some seconds of a busy server, some megabytes.
const QUEUE: usize = 4096;

/// What happens when the reader is slower than the records come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Records are dropped and counted: live traffic does not wait.
    Drop,
    /// Whoever sends waits: a file does.
    Wait,
    /// Whoever sends waits until this moment, then records are dropped: nothing else is left to do.
    WaitUntil(Instant),
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It will be written.
    Queued,
    /// Nobody asked for it.
    Filtered,
    /// The queue was full; a `loss` record will say so.
    Dropped,
    /// The reader has gone, or writing failed: nothing will be written any more.
    Closed,
}

/// What became of records that were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Written.
    pub written: u64,
    /// Dropped, since the reader was too slow.
    pub dropped: u64,
    /// Not taken by a full or failing disk, and reported.
    pub unwritten: u64,
    /// Not written yet.
    pub waiting: usize,
}

/// An open output. Dropping it lets the writer end in its own time; [`Output::finish`] waits.
#[derive(Debug)]
pub struct Output {
    queue: Sender<Message>,
    /// Records that are not handed over yet.
    gathered: Vec<Record>,
    /// As many are gathered before they are handed over.
    gathers: usize,
    /// Records that may wait for the writer, the gathered ones included.
    capacity: usize,
    done: Receiver<io::Result<Summary>>,
    shared: Arc<Shared>,
    filter: Filter,
    overflow: Overflow,
    is_spooled: bool,
}

impl Output {
    /// Opens the destination and starts the thread that writes to it.
    pub fn open(
        destination: &Destination,
        render: Box<dyn Render>,
        filter: Filter,
        overflow: Overflow,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let outlet = outlet(destination, overflow, &shared)?;
        let output = Self::write_to(outlet, render, filter, overflow, QUEUE, shared);
        Ok(Self {
            is_spooled: matches!(destination, Destination::Receiver(_, Some(_))),
            ..output
        })
    }

    #[cfg(test)]
    fn start(
        target: Box<dyn Target>,
        render: Box<dyn Render>,
        filter: Filter,
        overflow: Overflow,
        capacity: usize,
    ) -> Self {
        let shared = Arc::default();
        let outlet = Box::new(Stream::new(target, Arc::clone(&shared)));
        Self::write_to(outlet, render, filter, overflow, capacity, shared)
    }

    fn write_to(
        outlet: Box<dyn Outlet>,
        render: Box<dyn Render>,
        filter: Filter,
        overflow: Overflow,
        capacity: usize,
        shared: Arc<Shared>,
    ) -> Self {
        let (queue, records) = channel();
        let (finished, done) = sync_channel(1);
        let writer = Writer::new(outlet, render, Arc::clone(&shared), capacity);
        thread::spawn(move || {
            // Whoever has given up waiting for the answer does not need it.
            drop(finished.send(writer.run(&records)));
        });
        Self {
            queue,
            gathered: Vec::new(),
            gathers: 1,
            capacity,
            done,
            shared,
            filter,
            overflow,
            is_spooled: false,
        }
    }

    /// Which records are said.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// From now on so many records are handed over at once: to wake the writer costs more than all else
    /// that is done for a record. [`Self::flush`] hands over those that are fewer.
    #[must_use]
    pub fn gathering(mut self, records: usize) -> Self {
        self.gathers = records;
        self.shared.gathers.store(records > 1, Ordering::Relaxed);
        self
    }

    /// Takes a record. Blocks only where [`Overflow::Wait`] says so.
    pub fn send(&mut self, record: Record) -> Sent {
        if !self.filter.passes(&record) {
            return Sent::Filtered;
        }
        let room = importance::room(&record, self.filter.slow, self.capacity);
        while self.holds() >= room {
            self.flush();
            if self.is_closed() {
                return Sent::Closed;
            }
            if !self.may_wait() {
                let (event, at) = (record.body.event(), record.timestamp);
                self.shared.count_lost(LossReason::OutputBlocked, event, at);
                return Sent::Dropped;
            }
            thread::sleep(LULL);
        }
        self.gathered.push(record);
        if self.gathered.len() < self.gathers {
            return Sent::Queued;
        }
        self.flush()
    }

    /// Hands over what was gathered.
    pub fn flush(&mut self) -> Sent {
        if self.is_closed() {
            return Sent::Closed;
        }
        if self.gathered.is_empty() {
            return Sent::Queued;
        }
        let gathered = std::mem::take(&mut self.gathered);
        self.shared
            .waiting
            .fetch_add(gathered.len(), Ordering::AcqRel);
        match self.queue.send(Message::Records(gathered)) {
            Ok(()) => Sent::Queued,
            Err(_) => Sent::Closed,
        }
    }

    /// Records that wait for the writer.
    fn holds(&self) -> usize {
        self.shared.waiting.load(Ordering::Acquire) + self.gathered.len()
    }

    /// Whether so much waits for the writer that a burst might not find room.
    pub fn is_behind(&self) -> bool {
        !self.is_closed() && self.holds() > self.capacity / 4
    }

    fn may_wait(&self) -> bool {
        match self.overflow {
            Overflow::Drop => false,
            Overflow::Wait => true,
            Overflow::WaitUntil(end) => Instant::now() < end,
        }
    }

    /// From now on whoever sends waits for the reader, for as long as this in all.
    pub fn take_your_time(&mut self, patience: Duration) {
        if self.overflow == Overflow::Drop {
            self.overflow = Overflow::WaitUntil(Instant::now() + patience);
        }
    }

    /// Whether the reader of standard output has gone, which no write would show while there is
    /// nothing to write. Never so for a file.
    pub fn reader_is_gone() -> bool {
        let stdout = io::stdout();
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        let asked = poll(&mut watched, Some(&Timespec::default()));
        asked == Ok(1) && watched[0].revents().contains(PollFlags::ERR)
    }

    /// What became of the records so far.
    pub fn progress(&self) -> Progress {
        Progress {
            written: self.shared.written.load(Ordering::Relaxed),
            unwritten: self.shared.unwritten.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
            waiting: self.holds(),
        }
    }

    /// How it does, as a sink of several.
    pub(super) fn status(&self) -> SinkStatus {
        let spooled = self.shared.spooled.load(Ordering::Relaxed);
        let oldest = self.shared.oldest.load(Ordering::Relaxed);
        let losses = self.shared.losses().clone();
        SinkStatus {
            written: Count(self.shared.written.load(Ordering::Relaxed)),
            lost: Count(losses.values().map(|count| count.0).sum()),
            losses,
            errors: Some(Count(self.shared.errors())),
            waiting: Count(self.holds() as u64),
            spool_bytes: self.is_spooled.then_some(Count(spooled)),
            spool_since: (oldest > 0).then_some(Timestamp(oldest)),
            trouble: self.trouble().map(Text::from),
        }
    }

    /// Why it does not go on at this moment, where it does not.
    pub(super) fn trouble(&self) -> Option<String> {
        self.shared.troubled()
    }

    /// The reader has gone, or writing failed.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Opens a file anew after it was moved away; standard output stays as it is. Where that fails
    /// the old one is written on.
    pub fn reopen(&mut self, destination: &Destination) -> io::Result<()> {
        if let Destination::File(..) = destination {
            let outlet = outlet(destination, self.overflow, &self.shared)?;
            self.flush();
            // A writer that ended needs none.
            drop(self.queue.send(Message::Outlet(outlet)));
        }
        Ok(())
    }

    /// From here on records are chosen and written as these settings say, where they are written to aside.
    pub fn set(&mut self, settings: &Settings, host: &str) {
        self.flush();
        self.filter = settings.filter.clone();
        drop(self.queue.send(Message::Render(settings.render(host))));
    }

    /// It is at work from now on: receivers are spoken to, and the threads that write give up what they do not need,
    /// where that is said.
    pub(super) fn begin(&self, start: Start) {
        drop(self.queue.send(Message::Begin(start)));
    }

    /// Writes what is queued and ends. A reader that left is no error; one that does not read is
    /// waited for no longer than `patience`.
    pub fn finish(mut self, patience: Duration) -> io::Result<Summary> {
        self.flush();
        let Self {
            queue,
            done,
            shared,
            overflow,
            ..
        } = self;
        drop(queue);
        let ended = match overflow {
            Overflow::Drop | Overflow::WaitUntil(_) => done.recv_timeout(patience),
            Overflow::Wait => done
                .recv()
                .map_err(|_writer_panicked| RecvTimeoutError::Disconnected),
        };
        match ended {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => {
                let lost = shared.take_lost();
                let dropped = lost.get(&LossReason::OutputBlocked);
                let waiting = dropped.map_or(0, |dropped| dropped.count);
                Err(io::Error::new(
                    ErrorKind::TimedOut,
                    format!("the output's reader has stopped reading; {waiting} records dropped"),
                ))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(io::Error::other("the output's writer ended unexpectedly"))
            }
        }
    }
}

/// Opens what is written to. Where records are dropped rather than waited for, a full disk is outlived too.
fn outlet(
    destination: &Destination,
    overflow: Overflow,
    shared: &Arc<Shared>,
) -> io::Result<Box<dyn Outlet>> {
    let stream = |target: Box<dyn Target>| {
        let target: Box<dyn Target> = match overflow {
            Overflow::Wait => target,
            Overflow::Drop | Overflow::WaitUntil(_) => Box::new(Lasting::new(target)),
        };
        Box::new(Stream::new(target, Arc::clone(shared)))
    };
    Ok(match destination {
        // A duplicate of the descriptor: the standard library's handle flushes every line.
        Destination::Stdout => {
            let stdout = io::stdout().as_fd().try_clone_to_owned()?;
            stream(Box::new(Endless(File::from(stdout))))
        }
        Destination::File(path, bound) => stream(Box::new(Appended::open(path, *bound)?)),
        Destination::Receiver(receiver, None) => {
            Box::new(Direct::new(receiver.open()?, Arc::clone(shared)))
        }
        Destination::Receiver(receiver, Some(spool)) => {
            Box::new(Spooled::open(spool, receiver, Arc::clone(shared))?)
        }
    })
}

#[cfg(test)]
mod tests;
