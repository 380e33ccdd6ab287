//! What the threads of a sink know of each other.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use super::line::Line;
use crate::record::{Count, Event, LossReason, Timestamp};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Shared {
    lost: Mutex<BTreeMap<LossReason, Lost>>,
    /// Records lost, reported or not.
    losses: Mutex<BTreeMap<LossReason, Count>>,
    /// Why the receiver does not get what it should, as long as that is so.
    trouble: Mutex<Option<String>>,
    /// Records handed over and not rendered yet.
    pub(super) waiting: AtomicUsize,
    /// Records written.
    pub(super) written: AtomicU64,
    /// Records for which the queue had no room, reported or not.
    pub(super) dropped: AtomicU64,
    /// Lines that a full or failing disk did not take, and that are reported.
    pub(super) unwritten: AtomicU64,
    /// Tries to hand over that failed.
    errors: AtomicU64,
    /// Bytes in the spool that nobody has acknowledged.
    pub(super) spooled: AtomicU64,
    /// The time of the oldest record there, as far as it was read; 0 where there is none.
    pub(super) oldest: AtomicU64,
    /// Several records are handed over at once.
    pub(super) gathers: AtomicBool,
    pub(super) closed: AtomicBool,
}

/// This moment.
pub(super) fn now() -> Timestamp {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    Timestamp::from_nanoseconds(i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec))
}

/// Records lost since the last report.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) count: u64,
    /// Of these, as far as it is known what they were.
    pub(super) events: BTreeMap<Event, Count>,
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
}

impl Shared {
    /// Counts a record that is lost.
    pub(super) fn count_lost(&self, reason: LossReason, event: Event, at: Timestamp) {
        self.count(reason, (at, at), 1, Some(event));
    }

    /// Counts lines between these times that the disk did not take; which of them is not known.
    pub(super) fn count_unwritten(&self, lines: u64, since: Timestamp, until: Timestamp) {
        if lines > 0 {
            self.unwritten.fetch_add(lines, Ordering::Relaxed);
            self.count(LossReason::OutputFailed, (since, until), lines, None);
        }
    }

    /// Counts the places where something is missing of which nobody knows what it was.
    pub(super) fn count_places(&self, reason: LossReason, at: Timestamp, places: u64) {
        if places > 0 {
            self.count(reason, (at, at), places, None);
        }
    }

    /// Counts what a receiver has refused of these lines; which of them it does not say.
    pub(super) fn count_refused(&self, lines: &[Line], refused: u64) {
        if let Some(last) = lines.last() {
            self.count_places(LossReason::SinkRefused, last.at, refused);
        }
    }

    fn count(
        &self,
        reason: LossReason,
        (since, until): (Timestamp, Timestamp),
        count: u64,
        event: Option<Event>,
    ) {
        *self.losses().entry(reason).or_default() += count;
        if reason == LossReason::OutputBlocked {
            self.dropped.fetch_add(count, Ordering::Relaxed);
        }
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = lost.entry(reason).or_insert_with(|| Lost {
            count: 0,
            events: BTreeMap::new(),
            since,
            until,
        });
        lost.count += count;
        if let Some(event) = event {
            *lost.events.entry(event).or_default() += count;
        }
        lost.since = lost.since.min(since);
        lost.until = lost.until.max(until);
    }

    /// What is to be reported.
    pub(super) fn take_lost(&self) -> BTreeMap<LossReason, Lost> {
        std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All that was lost, by reason.
    pub(super) fn losses(&self) -> MutexGuard<'_, BTreeMap<LossReason, Count>> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries to hand over that failed.
    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// The receiver does not get what it should.
    pub(super) fn trouble(&self, why: &str) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        *self.troubles() = Some(why.to_owned());
    }

    /// It does.
    pub(super) fn well(&self) {
        *self.troubles() = None;
    }

    /// Why it does not, where it does not.
    pub(super) fn troubled(&self) -> Option<String> {
        self.troubles().clone()
    }

    fn troubles(&self) -> MutexGuard<'_, Option<String>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
