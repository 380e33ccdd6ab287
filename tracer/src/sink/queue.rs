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
    file::{Appended, Endless, Target},
    writer::{LULL, Message, Shared, Summary, Writer},
};
use crate::{confine::Needs, record::Record};

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
}

impl Output {
    /// Opens the destination and starts the thread that writes to it.
    pub fn open(
        destination: &Destination,
        render: Box<dyn Render>,
        filter: Filter,
        overflow: Overflow,
    ) -> io::Result<Self> {
        let target = target(destination)?;
        Ok(Self::start(target, render, filter, overflow, QUEUE))
    }

    fn start(
        target: Box<dyn Target>,
        render: Box<dyn Render>,
        filter: Filter,
        overflow: Overflow,
        capacity: usize,
    ) -> Self {
        let (queue, records) = channel();
        let (finished, done) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let writer = Writer::new(target, render, Arc::clone(&shared), capacity);
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
        while self.is_full() {
            self.flush();
            if self.is_closed() {
                return Sent::Closed;
            }
            if !self.may_wait() {
                self.shared.count_dropped(record.timestamp);
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

    /// Whether no more records may wait for the writer.
    fn is_full(&self) -> bool {
        let waiting = self.shared.waiting.load(Ordering::Acquire);
        waiting + self.gathered.len() >= self.capacity
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
            dropped: self.shared.lost.load(Ordering::Relaxed),
            waiting: self.shared.waiting.load(Ordering::Relaxed) + self.gathered.len(),
        }
    }

    /// The reader has gone, or writing failed.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Opens a file anew after it was moved away; standard output stays as it is. Where that fails
    /// the old one is written on.
    pub fn reopen(&mut self, destination: &Destination) -> io::Result<()> {
        if *destination != Destination::Stdout {
            let target = target(destination)?;
            self.flush();
            // A writer that ended needs none.
            drop(self.queue.send(Message::Target(target)));
        }
        Ok(())
    }

    /// From here on records are chosen and written as these settings say, where they are written to aside.
    pub fn set(&mut self, settings: &Settings, host: &str) {
        self.flush();
        self.filter = settings.filter.clone();
        drop(self.queue.send(Message::Render(settings.render(host))));
    }

    /// The thread that writes gives up what it does not need.
    pub fn confine(&self, needs: Needs) {
        drop(self.queue.send(Message::Confine(needs)));
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
                let waiting = shared.take_dropped().map_or(0, |dropped| dropped.count);
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

/// Opens what is written to.
fn target(destination: &Destination) -> io::Result<Box<dyn Target>> {
    Ok(match destination {
        // A duplicate of the descriptor: the standard library's handle flushes every line.
        Destination::Stdout => {
            let stdout = io::stdout().as_fd().try_clone_to_owned()?;
            Box::new(Endless(File::from(stdout)))
        }
        Destination::File(path, bound) => Box::new(Appended::open(path, *bound)?),
    })
}

#[cfg(test)]
mod tests;
