//! What the agent remembers from one run to the next, beside its work.

use std::path::PathBuf;

use tokio::task::{JoinHandle, spawn_blocking};

use crate::{
    session::Engine,
    state::{State, StateError},
};

/// The state directory, if there is one, and what came of writing there.
#[derive(Debug)]
pub(super) struct Memory {
    state: Option<State>,
    saving: Option<JoinHandle<Result<(), StateError>>>,
    /// That it fails is said.
    failed: bool,
}

impl Memory {
    pub(super) fn new(directory: Option<PathBuf>) -> Self {
        Self {
            state: directory.map(State::new),
            saving: None,
            failed: false,
        }
    }

    /// Lets the engine know what was usual in the last run; what is to be said where it can not.
    pub(super) fn recall(&self, engine: &mut Engine) -> Option<String> {
        let unread = match self.state.as_ref()?.load() {
            Ok(kept) => match engine.learn(&kept?) {
                0 => return None,
                unread => format!("what is usual at {unread} servers can not be read"),
            },
            Err(error) => error.to_string(),
        };
        Some(unread + "; it is learnt anew")
    }

    /// Writes down what is usual by now; what is to be said of the last time.
    pub(super) async fn keep(&mut self, engine: &Engine) -> Option<String> {
        let complaint = self.kept().await;
        if let Some(state) = self.state.clone() {
            let baselines = engine.baselines();
            self.saving = Some(spawn_blocking(move || state.save(&baselines)));
        }
        complaint
    }

    /// Waits until it is written down; what is to be said where it was not. That is said once.
    pub(super) async fn kept(&mut self) -> Option<String> {
        let failure = match self.saving.take()?.await {
            Ok(Ok(())) => {
                self.failed = false;
                return None;
            }
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let is_said = std::mem::replace(&mut self.failed, true);
        (!is_said).then(|| failure + "; what is usual is not remembered")
    }
}
