//! A runtime that is asked for what it has not left on disk, where somebody names its socket.
//!
//! Whoever may ask there may also make containers. So a thread of its own asks, which has nothing else, and asks for
//! containers' statuses and which runtime it is only.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{Noted, cri};
use crate::confine::{Needs, confine};

/// Questions that wait.
const WAITING: usize = 64;
/// Answers that nobody has taken yet.
const ANSWERS: usize = 1024;
/// How long whoever asks waits for answers in each [`PERIOD`], all together; not at all once one has taken longer,
/// until one comes sooner.
const MOMENT: Duration = Duration::from_millis(50);
const PERIOD: Duration = Duration::from_secs(1);

/// A runtime that is asked.
#[derive(Debug)]
pub(super) struct Asked {
    questions: SyncSender<String>,
    answers: Arc<Answers>,
}

#[derive(Debug, Default)]
struct Answers {
    told: Mutex<Told>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Told {
    /// By the containers' ids: nothing yet where one is being asked for, and nothing in it where the runtime says nothing.
    noted: HashMap<String, Option<Noted>>,
    waits: Waits,
}

/// How long whoever asks has waited.
#[derive(Debug, Default)]
struct Waits {
    since: Option<Instant>,
    so_far: Duration,
    /// The last answer was not there in time.
    is_late: bool,
}

impl Waits {
    /// How long may be waited now.
    fn left(&mut self, now: Instant) -> Duration {
        let is_over = |since| now.saturating_duration_since(since) >= PERIOD;
        if self.since.is_none_or(is_over) {
            self.since = Some(now);
            self.so_far = Duration::ZERO;
        }
        if self.is_late {
            Duration::ZERO
        } else {
            MOMENT.saturating_sub(self.so_far)
        }
    }
}

impl Asked {
    /// The one at that socket; the thread that asks gives up all else where it is to be confined.
    pub(super) fn at(socket: PathBuf, confined: bool) -> io::Result<Self> {
        let (questions, asked) = sync_channel(WAITING);
        let answers = Arc::new(Answers::default());
        let told = Arc::clone(&answers);
        let thread = thread::Builder::new().name("names".to_owned());
        thread.spawn(move || {
            if confined {
                for step in confine(&Needs::default()) {
                    tracing::debug!("names, {}: {:?}", step.what, step.held);
                }
            }
            ask(&socket, &asked, &told);
        })?;
        Ok(Self { questions, answers })
    }

    /// What it says of a container, where that comes in a moment; later at the next question.
    pub(super) fn about(&self, id: &str) -> Option<Noted> {
        let is_asked = |told: &mut Told| matches!(told.noted.get(id), Some(None));
        let mut told = self.answers.told();
        if is_asked(&mut told) {
            return None;
        }
        let before = told.noted.remove(id).flatten();
        if let Some(noted) = before.filter(|noted| *noted != Noted::default()) {
            return Some(noted);
        }
        self.questions.try_send(id.to_owned()).ok()?;
        told.noted.insert(id.to_owned(), None);
        let begun = Instant::now();
        let left = told.waits.left(begun);
        let arrived = &self.answers.arrived;
        let waited = arrived.wait_timeout_while(told, left, is_asked);
        let (mut told, ended) = waited.unwrap_or_else(PoisonError::into_inner);
        told.waits.so_far += begun.elapsed();
        if ended.timed_out() {
            told.waits.is_late = true;
            return None;
        }
        told.noted.remove(id).flatten()
    }
}

impl Answers {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, id: String, noted: Noted, took: Duration) {
        let mut told = self.told();
        told.waits.is_late = took >= MOMENT;
        if told.noted.len() >= ANSWERS {
            told.noted.retain(|_, noted| noted.is_none());
        }
        told.noted.insert(id, Some(noted));
        self.arrived.notify_all();
    }
}

/// Asks until nobody has a question any more.
fn ask(socket: &Path, questions: &Receiver<String>, answers: &Answers) {
    let (mut has_failed, mut runtime) = (false, None);
    for id in questions {
        let begun = Instant::now();
        let answered = cri::status(socket, &id);
        if let Err(error) = &answered
            && !has_failed
        {
            tracing::warn!("names of containers, from {}: {error}", socket.display());
        }
        has_failed = answered.is_err();
        let mut noted = answered.ok().flatten().unwrap_or_default();
        if noted != Noted::default() {
            runtime = runtime.or_else(|| cri::runtime(socket).ok()?);
            noted.runtime = runtime;
        }
        answers.tell(id, noted, begun.elapsed());
    }
}

#[cfg(test)]
mod tests;
