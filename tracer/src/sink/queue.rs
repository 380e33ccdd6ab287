//! Handing over records without being held up: a bounded queue in front of the writer.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    Destination, Filter, Render,
    writer::{LULL, Message, Shared, Summary, Target, Writer, open_file},
};
use crate::record::Record;

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

/// An open output. Dropping it lets the writer end in its own time; [`Output::finish`] waits.
#[derive(Debug)]
pub struct Output {
    queue: SyncSender<Message>,
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
        let (file, path) = match destination {
            // A duplicate of the descriptor: the standard library's handle flushes every line.
            Destination::Stdout => (File::from(io::stdout().as_fd().try_clone_to_owned()?), None),
            Destination::File(path) => (open_file(path)?, Some(path.clone())),
        };
        Ok(Self::start(
            Target {
                writer: Box::new(file),
                path,
            },
            render,
            filter,
            overflow,
            QUEUE,
        ))
    }

    fn start(
        target: Target,
        render: Box<dyn Render>,
        filter: Filter,
        overflow: Overflow,
        capacity: usize,
    ) -> Self {
        let (queue, records) = sync_channel(capacity);
        let (finished, done) = sync_channel(1);
        let shared = Arc::new(Shared::default());
        let writer = Writer::new(target, render, Arc::clone(&shared), capacity);
        thread::spawn(move || {
            // Whoever has given up waiting for the answer does not need it.
            drop(finished.send(writer.run(&records)));
        });
        Self {
            queue,
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

    /// Hands over a record. Blocks only where [`Overflow::Wait`] says so.
    pub fn send(&self, record: Record) -> Sent {
        if !self.filter.passes(&record) {
            return Sent::Filtered;
        }
        let timestamp = record.timestamp;
        let message = Message::Record(Box::new(record));
        if self.overflow == Overflow::Wait {
            let sent = self.queue.send(message);
            return if sent.is_ok() {
                Sent::Queued
            } else {
                Sent::Closed
            };
        }
        let mut message = message;
        loop {
            message = match self.queue.try_send(message) {
                Ok(()) => return Sent::Queued,
                Err(TrySendError::Full(message)) if self.may_wait() => message,
                Err(TrySendError::Full(_)) => {
                    self.shared.count_dropped(timestamp);
                    return Sent::Dropped;
                }
                Err(TrySendError::Disconnected(_)) => return Sent::Closed,
            };
            thread::sleep(LULL);
        }
    }

    fn may_wait(&self) -> bool {
        matches!(self.overflow, Overflow::WaitUntil(end) if Instant::now() < end)
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

    /// The reader has gone, or writing failed.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Opens a file anew after it was moved away; standard output stays as it is.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        // A full queue wakes the writer as well, and a writer that ended needs no waking.
        drop(self.queue.try_send(Message::Wake));
    }

    /// Writes what is queued and ends. A reader that left is no error; one that does not read is
    /// waited for no longer than `patience`.
    pub fn finish(self, patience: Duration) -> io::Result<Summary> {
        let Self {
            queue,
            done,
            shared,
            filter: _,
            overflow,
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

#[cfg(test)]
mod tests;
