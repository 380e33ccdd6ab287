//! What waits on disk for a receiver across the network: it outlives outages, and the agent.
//!
//! The thread that writes appends records (`frame`, `store`); the `courier` hands them over in their order, and lets
//! go of what the receiver has acknowledged. What is handed over and not acknowledged comes again.

mod courier;
mod frame;
mod store;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use self::frame::records;
use self::{
    courier::Courier,
    store::{Gone, Store},
};
use super::{
    line::Line,
    outlet::{Outlet, Start},
    receiver::Receiver,
    shared::{Shared, now},
};
use crate::record::{LossReason, Timestamp};

/// Bytes that are written at once, at most.
const BUFFER: usize = 256 * 1024;
/// How long the courier is waited for at the end; what it has not handed over by then is there at the next start.
const FAREWELL: Duration = Duration::from_secs(2);

/// Where records wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolSettings {
    /// A directory of this sink alone.
    pub directory: PathBuf,
    /// Bytes on disk, at most.
    pub most: u64,
}

/// How far the two threads are.
#[derive(Debug)]
struct State {
    store: Store,
    /// The agent is at work, and the courier with this; it speaks to nobody before.
    start: Option<Start>,
    /// No more records come.
    ended: bool,
    /// The courier has done what it could.
    done: bool,
}

/// What the two threads share.
#[derive(Debug)]
struct Spool {
    state: Mutex<State>,
    changed: Condvar,
}

impl Spool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something changed, or for so long.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, most: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, most);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The side that writes.
pub(super) struct Spooled {
    spool: Arc<Spool>,
    /// Records that are not in the file yet.
    frames: Vec<u8>,
    lines: Vec<(crate::record::Event, Timestamp)>,
    shared: Arc<Shared>,
}

impl Spooled {
    /// Opens the spool, and has somebody hand over what is in it once the agent is at work.
    pub(super) fn open(
        settings: &SpoolSettings,
        receiver: &Receiver,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        let (store, gone) = Store::open(&settings.directory, settings.most).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the spool {}: {error}", settings.directory.display()),
            )
        })?;
        count(&shared, &gone, now());
        let state = State {
            store,
            start: None,
            ended: false,
            done: false,
        };
        let spool = Arc::new(Spool {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        Courier::start(receiver.open()?, Arc::clone(&spool), Arc::clone(&shared))?;
        Ok(Self {
            spool,
            frames: Vec::new(),
            lines: Vec::new(),
            shared,
        })
    }
}

impl Outlet for Spooled {
    fn take(&mut self, line: &Line) -> io::Result<()> {
        frame::append(line, &mut self.frames);
        self.lines.push((line.event, line.at));
        if self.frames.len() < BUFFER {
            return Ok(());
        }
        self.flush()
    }

    fn is_waiting(&self) -> bool {
        !self.frames.is_empty()
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.frames.is_empty() {
            return Ok(());
        }
        let mut state = self.spool.state();
        let written = state.store.write(&self.frames);
        let left = state.store.unacknowledged();
        drop(state);
        self.spool.changed.notify_all();
        self.shared
            .spooled
            .store(left, std::sync::atomic::Ordering::Relaxed);
        self.frames.clear();
        let last = self.lines.last().map_or(Timestamp(0), |(_, at)| *at);
        match written {
            Ok(gone) => count(&self.shared, &gone, last),
            Err(error) => {
                self.shared.trouble(&format!("the spool: {error}"));
                for (event, at) in &self.lines {
                    self.shared.count_lost(LossReason::SpoolFailed, *event, *at);
                }
            }
        }
        self.lines.clear();
        Ok(())
    }

    fn begin(&mut self, start: &Start) {
        let mut state = self.spool.state();
        state.start = Some(start.clone());
        drop(state);
        self.spool.changed.notify_all();
    }

    fn end(&mut self) {
        let mut state = self.spool.state();
        state.ended = true;
        self.spool.changed.notify_all();
        let end = std::time::Instant::now() + FAREWELL;
        while !state.done && state.start.is_some() {
            let left = end.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.spool.wait(state, left);
        }
    }
}

/// Counts what a spool lost.
fn count(shared: &Shared, gone: &Gone, at: Timestamp) {
    for (event, count) in &gone.events {
        for _ in 0..*count {
            shared.count_lost(LossReason::SpoolFull, *event, at);
        }
    }
    shared.count_places(LossReason::SpoolTorn, at, gone.torn);
}
