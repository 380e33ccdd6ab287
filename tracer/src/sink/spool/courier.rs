//! Hands over what is in the spool, on a thread of its own.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{Spool, count};
use crate::{
    confine::confine,
    record::{LossReason, Timestamp},
    sink::{
        Line,
        deliver::{Deliver, Delivered, Patience, Trouble},
        outlet::Start,
        shared::{Shared, now},
    },
};

/// Records handed over at once, at most.
const RECORDS: usize = 1024;
/// Bytes of them.
const BYTES: usize = 1 << 20;
/// The thread looks around at least as often.
const LOOK: Duration = Duration::from_mins(1);

/// See the module.
pub(super) struct Courier {
    deliver: Box<dyn Deliver>,
    spool: Arc<Spool>,
    shared: Arc<Shared>,
    /// Figures were told for the last time.
    said_farewell: bool,
}

/// What is to be done.
enum Next {
    /// These are to be handed over.
    Lines(Vec<Line>),
    /// Figures are to be told.
    Figures,
}

impl Courier {
    pub(super) fn start(
        deliver: Box<dyn Deliver>,
        spool: Arc<Spool>,
        shared: Arc<Shared>,
    ) -> io::Result<()> {
        let courier = Self {
            deliver,
            spool,
            shared,
            said_farewell: false,
        };
        let thread = thread::Builder::new().name("courier".to_owned());
        thread.spawn(move || courier.run())?;
        Ok(())
    }

    fn run(mut self) {
        if self.begins() {
            while let Some(next) = self.next() {
                let goes_on = match next {
                    Next::Lines(lines) => self.hand_over(&lines),
                    Next::Figures => self.tell(),
                };
                if !goes_on {
                    break;
                }
            }
        }
        self.spool.state().done = true;
        self.spool.changed.notify_all();
    }

    /// Waits until the agent is at work; false where it never is.
    fn begins(&mut self) -> bool {
        let mut state = self.spool.state();
        let start = loop {
            if let Some(start) = state.start.take() {
                // Whoever ends it looks whether it has begun.
                state.start = Some(Start::default());
                break start;
            }
            if state.ended {
                return false;
            }
            state = self.spool.wait(state, LOOK);
        };
        drop(state);
        for step in start.needs.iter().flat_map(confine) {
            tracing::debug!("while handing over, {}: {:?}", step.what, step.held);
        }
        self.deliver.begin(start.figures);
        true
    }

    /// What is to be done next; nothing once everything is handed over, and no more comes.
    fn next(&mut self) -> Option<Next> {
        let mut state = self.spool.state();
        let mut since = None;
        loop {
            let due = self.deliver.due();
            let until_due = due.map(|due| due.saturating_duration_since(Instant::now()));
            if until_due.is_some_and(|left| left.is_zero()) {
                return Some(Next::Figures);
            }
            if state.store.has_more() {
                let began = *since.get_or_insert_with(Instant::now);
                let left = self.deliver.lull().saturating_sub(began.elapsed());
                let is_much = state.store.unacknowledged() >= BYTES as u64;
                if !(left.is_zero() || is_much || state.ended) {
                    state = self.spool.wait(state, left);
                    continue;
                }
                match state.store.next(RECORDS, BYTES) {
                    Ok((lines, gone)) => {
                        let last = lines.last().map_or(Timestamp(0), |line| line.at);
                        count(&self.shared, &gone, last);
                        if let Some(first) = lines.first() {
                            self.shared.oldest.store(first.at.0, Ordering::Relaxed);
                            return Some(Next::Lines(lines));
                        }
                    }
                    Err(error) => {
                        self.shared.trouble(&format!("the spool: {error}"));
                        state = self.spool.wait(state, Duration::from_secs(1));
                    }
                }
                if !state.ended {
                    continue;
                }
            }
            if state.ended {
                let last = due.is_some() && !std::mem::replace(&mut self.said_farewell, true);
                return last.then_some(Next::Figures);
            }
            state = self
                .spool
                .wait(state, until_due.map_or(LOOK, |left| left.min(LOOK)));
        }
    }

    /// Tells figures, once: where that fails the next ones say all that these did.
    fn tell(&mut self) -> bool {
        let told = self.deliver.tell();
        let (refused, why) = match told {
            Ok(Delivered { refused }) => (refused, None),
            Err(Trouble::Never(why)) => (1, Some(why)),
            Err(Trouble::Later(why, _)) => (0, Some(why)),
        };
        match why {
            None => self.shared.well(),
            Some(why) => self.shared.trouble(&format!("metrics: {why}")),
        }
        self.shared
            .count_places(LossReason::SinkRefused, now(), refused);
        true
    }

    /// Tries until these are with the receiver, or refused; false where the agent stops before.
    fn hand_over(&mut self, lines: &[Line]) -> bool {
        let mut patience = Patience::new();
        loop {
            match self.deliver.deliver(lines) {
                Ok(Delivered { refused }) => {
                    self.shared.well();
                    self.shared.count_refused(lines, refused);
                    break;
                }
                Err(Trouble::Never(why)) => {
                    self.shared.trouble(&why);
                    for line in lines {
                        self.shared
                            .count_lost(LossReason::SinkRefused, line.event, line.at);
                    }
                    break;
                }
                Err(Trouble::Later(why, after)) => {
                    self.shared.trouble(&why);
                    if !self.waits(patience.wait(after)) {
                        return false;
                    }
                }
            }
        }
        let mut state = self.spool.state();
        if let Err(error) = state.store.acknowledge() {
            self.shared.trouble(&format!("the spool: {error}"));
        }
        let left = state.store.unacknowledged();
        self.shared.spooled.store(left, Ordering::Relaxed);
        if left == 0 {
            self.shared.oldest.store(0, Ordering::Relaxed);
        }
        true
    }

    /// Waits for so long; false where the agent stops meanwhile.
    fn waits(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut state = self.spool.state();
        while !state.ended {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            state = self.spool.wait(state, left);
        }
        false
    }
}
