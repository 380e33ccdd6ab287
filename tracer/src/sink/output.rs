//! Writing without holding up: a bounded queue, and a thread that writes.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, ErrorKind, Write},
    os::fd::AsFd,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Destination, Filter, Render};
use crate::record::{Body, Count, Loss, LossReason, LossRecord, Record, Timestamp};

/// Records that wait for the writer: some seconds of a busy server, some megabytes.
const QUEUE: usize = 4096;

/// How long the writer lets records gather before it writes them out: being woken for each costs
/// the sender more than all else.
const LULL: Duration = Duration::from_millis(2);

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

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records written, those about loss included.
    pub written: u64,
    /// Records dropped because the reader was too slow.
    pub dropped: u64,
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

#[derive(Debug)]
enum Message {
    Record(Box<Record>),
    /// Nothing but a reason to look at the flags.
    Wake,
}

#[derive(Debug, Default)]
struct Shared {
    dropped: Mutex<Option<Dropped>>,
    reopen: AtomicBool,
    closed: AtomicBool,
}

/// Records dropped since the last report.
#[derive(Clone, Copy, Debug)]
struct Dropped {
    count: u64,
    since: Timestamp,
    until: Timestamp,
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
        let writer = Writer {
            target: BufWriter::with_capacity(64 * 1024, target),
            render,
            shared: Arc::clone(&shared),
            line: Vec::with_capacity(4096),
            since_report: 0,
            capacity,
            summary: Summary::default(),
        };
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

impl Shared {
    fn count_dropped(&self, at: Timestamp) {
        let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = dropped.get_or_insert(Dropped {
            count: 0,
            since: at,
            until: at,
        });
        dropped.count += 1;
        dropped.until = dropped.until.max(at);
    }

    fn take_dropped(&self) -> Option<Dropped> {
        self.dropped
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// Where the bytes go, and how to open it anew.
struct Target {
    writer: Box<dyn Write + Send>,
    path: Option<PathBuf>,
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

struct Writer {
    target: BufWriter<Target>,
    render: Box<dyn Render>,
    shared: Arc<Shared>,
    line: Vec<u8>,
    /// Records written since dropped ones were last reported.
    since_report: usize,
    capacity: usize,
    summary: Summary,
}

impl Writer {
    fn run(mut self, records: &Receiver<Message>) -> io::Result<Summary> {
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
            self.reopen_if_asked()?;
            if let Message::Record(record) = message {
                self.write(&record)?;
            }
            // With a reader that is always behind the queue never empties.
            if self.since_report >= self.capacity {
                self.report_dropped()?;
            }
        }
        self.report_dropped()?;
        self.target.flush()
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        self.since_report += 1;
        self.line.clear();
        let number = self.summary.written + 1;
        if self.render.render(record, number, &mut self.line).is_err() {
            return self.write_loss(
                LossReason::RecordTooLarge,
                1,
                record.timestamp,
                record.timestamp,
            );
        }
        self.target.write_all(&self.line)?;
        self.summary.written += 1;
        Ok(())
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
        self.line.clear();
        let number = self.summary.written + 1;
        self.render.render(&record, number, &mut self.line)?;
        self.target.write_all(&self.line)?;
        self.summary.written += 1;
        Ok(())
    }

    fn reopen_if_asked(&mut self) -> io::Result<()> {
        if !self.shared.reopen.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.target.flush()?;
        let target = self.target.get_mut();
        if let Some(path) = &target.path {
            target.writer = Box::new(open_file(path)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::{self, PipeReader, Read},
        time::Duration,
    };

    use serde_json::Value;

    use super::{Output, Overflow, Sent, Target};
    use crate::{
        record::{LineFormat, Naming, samples},
        sink::{Destination, Filter},
    };

    const PATIENCE: Duration = Duration::from_secs(20);

    fn render() -> LineFormat {
        LineFormat::new("sql1", Naming::Native)
    }

    fn pipe(overflow: Overflow, capacity: usize) -> (PipeReader, Output) {
        let (reader, writer) = io::pipe().expect("a pipe");
        let target = Target {
            writer: Box::new(writer),
            path: None,
        };
        (
            reader,
            Output::start(
                target,
                Box::new(render()),
                Filter::default(),
                overflow,
                capacity,
            ),
        )
    }

    fn lines(text: &str) -> Vec<Value> {
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    #[test]
    fn a_reader_that_stops_reading_blocks_nobody_and_every_record_is_written_or_counted() {
        const RECORDS: u64 = 5000;
        let (mut reader, output) = pipe(Overflow::Drop, 8);
        let dropped = (0..RECORDS)
            .filter(|_| output.send(samples::login()) == Sent::Dropped)
            .count() as u64;
        assert!(dropped > 0, "the pipe took everything");

        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        let summary = output.finish(PATIENCE).expect("an end");
        let lines = lines(&reading.join().expect("a reader").expect("text"));
        let logins = lines.iter().filter(|line| line["event"] == "login").count() as u64;
        let counted: u64 = lines
            .iter()
            .filter(|line| line["loss"]["reason"] == "output_blocked")
            .filter_map(|line| line["loss"]["count"].as_u64())
            .sum();
        assert_eq!(counted, dropped);
        assert_eq!(logins + counted, RECORDS);
        assert_eq!(summary.dropped, dropped);
        assert_eq!(summary.written, lines.len() as u64);
        let numbered = (1..)
            .zip(&lines)
            .all(|(number, line)| line["line"] == number);
        assert!(numbered, "lines about loss are numbered with the others");
    }

    #[test]
    fn a_reader_that_never_reads_again_does_not_keep_the_agent_from_stopping() {
        let (_reader, output) = pipe(Overflow::Drop, 8);
        // Until the pipe and every buffer before it are full, not the queue alone.
        let mut dropped_in_a_row = 0;
        while dropped_in_a_row < 100 {
            let dropped = output.send(samples::login()) == Sent::Dropped;
            dropped_in_a_row = if dropped { dropped_in_a_row + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(1));
        }
        let error = output
            .finish(Duration::from_millis(50))
            .expect_err("a time-out");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_reader_that_left_is_a_clean_end() {
        let (reader, output) = pipe(Overflow::Wait, 8);
        drop(reader);
        while output.send(samples::login()) != Sent::Closed {}
        assert!(output.is_closed());
        assert!(output.finish(PATIENCE).is_ok());
    }

    #[test]
    fn a_replay_waits_for_its_reader_and_loses_nothing() {
        let (mut reader, output) = pipe(Overflow::Wait, 2);
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        for _ in 0..500 {
            assert_eq!(output.send(samples::login()), Sent::Queued);
        }
        assert_eq!(output.finish(PATIENCE).expect("an end").written, 500);
        assert_eq!(
            lines(&reading.join().expect("a reader").expect("text")).len(),
            500
        );
    }

    #[test]
    fn at_the_end_everything_is_written_for_a_reader_that_reads() {
        let (mut reader, mut output) = pipe(Overflow::Drop, 2);
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        output.take_your_time(PATIENCE);
        for _ in 0..500 {
            assert_eq!(output.send(samples::login()), Sent::Queued);
        }
        assert_eq!(output.finish(PATIENCE).expect("an end").written, 500);
        assert!(reading.join().expect("a reader").is_ok());
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let folder = std::env::temp_dir().join(format!("tds-tracer-reopen-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let (path, moved) = (folder.join("events"), folder.join("events.1"));
        let destination = Destination::File(path.clone());
        let output = Output::open(
            &destination,
            Box::new(render()),
            Filter::default(),
            Overflow::Wait,
        )
        .expect("an output");
        output.send(samples::login());
        while fs::metadata(&path).expect("the file").len() == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        fs::rename(&path, &moved).expect("moved");
        output.reopen();
        output.send(samples::agent());
        output.finish(PATIENCE).expect("an end");

        let events = |path| lines(&fs::read_to_string(path).expect("text"));
        assert_eq!(events(&moved)[0]["event"], "login");
        assert_eq!(events(&path)[0]["event"], "agent");
        fs::remove_dir_all(&folder).expect("cleaned up");
    }

    #[test]
    fn what_nobody_asked_for_is_not_written() {
        let (_reader, output) = pipe(Overflow::Wait, 8);
        assert_eq!(output.send(samples::phase()), Sent::Filtered);
        assert_eq!(output.finish(PATIENCE).expect("an end").written, 0);
    }
}
