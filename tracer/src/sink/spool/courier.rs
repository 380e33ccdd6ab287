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
        shared::Shared,
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
        };
        let thread = thread::Builder::new().name("courier".to_owned());
        thread.spawn(move || courier.run())?;
        Ok(())
    }

    fn run(mut self) {
        if self.begins() {
            while let Some(lines) = self.gathered() {
                if !self.hand_over(&lines) {
                    break;
                }
            }
        }
        self.spool.state().done = true;
        self.spool.changed.notify_all();
    }

    /// Waits until the agent is at work; false where it never is.
    fn begins(&self) -> bool {
        let mut state = self.spool.state();
        while !state.begun {
            if state.ended {
                return false;
            }
            state = self.spool.wait(state, LOOK);
        }
        let needs = state.needs.clone();
        drop(state);
        for step in needs.iter().flat_map(confine) {
            tracing::debug!("while handing over, {}: {:?}", step.what, step.held);
        }
        true
    }

    /// What is to be handed over next; none once everything is, and no more comes.
    fn gathered(&self) -> Option<Vec<Line>> {
        let mut state = self.spool.state();
        let mut since = None;
        loop {
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
                        if !lines.is_empty() {
                            return Some(lines);
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
                return None;
            }
            state = self.spool.wait(state, LOOK);
        }
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
