//! What several clients wait for together: a number of workers, or a moment.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;

use super::faults::Step;

/// Who is let past a step, and when.
#[derive(Args, Clone, Debug, Default)]
pub struct Gate {
    /// The step before whose answer clients wait for each other.
    #[arg(long, value_name = "STEP")]
    pub gate_at: Option<Step>,
    /// How many are answered at a time.
    #[arg(long, default_value_t = u16::MAX, requires = "gate_at")]
    pub workers: u16,
    /// How long each answer takes, in milliseconds.
    #[arg(long, default_value_t = 0, requires = "gate_at")]
    pub work: u64,
    /// How long after the first client nobody is answered at all, in milliseconds.
    #[arg(long, default_value_t = 0, requires = "gate_at")]
    pub shut: u64,
    #[arg(skip)]
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    opens: Option<Instant>,
    working: u16,
}

impl Gate {
    /// Returns once the client at this step may be answered.
    pub fn pass(&self, step: Step) {
        if self.gate_at != Some(step) {
            return;
        }
        let (state, freed) = &*self.state;
        let mut guard = state.lock().unwrap_or_else(PoisonError::into_inner);
        let shut = Duration::from_millis(self.shut);
        let opens = *guard.opens.get_or_insert_with(|| Instant::now() + shut);
        while let Some(left) = opens.checked_duration_since(Instant::now()) {
            drop(guard);
            std::thread::sleep(left);
            guard = state.lock().unwrap_or_else(PoisonError::into_inner);
        }
        while guard.working >= self.workers {
            guard = freed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        guard.working += 1;
        drop(guard);
        std::thread::sleep(Duration::from_millis(self.work));
        let mut guard = state.lock().unwrap_or_else(PoisonError::into_inner);
        guard.working -= 1;
        freed.notify_one();
    }
}
