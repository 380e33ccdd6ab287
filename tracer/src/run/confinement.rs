//! What the agent at work gives up: see [`crate::confine`].

use super::watcher::Watcher;
use crate::{
    confine::{Needs, Programs, Step, confine, without},
    metrics::Metrics,
};

impl Watcher {
    /// Gives up what is not needed any more, on this thread and on those that write. Sinks speak to their receivers from
    /// now on.
    pub(super) fn confine(&mut self) {
        let figures = self.records.metrics.as_ref().map(Metrics::figures);
        self.records
            .output
            .begin(self.options.confine, figures.as_ref());
        if self.options.confine {
            log(&confine(&self.needs()));
        }
    }

    fn needs(&self) -> Needs {
        let outputs = self.options.outputs.iter();
        // Files are opened anew by this thread.
        let mut writes: Vec<_> = outputs.flat_map(|output| output.needs().writes).collect();
        writes.extend(self.options.state.clone());
        let recording = self.options.recording.as_ref();
        writes.extend(recording.map(|recording| recording.folder.clone()));
        let programs = if self.probe.attaches() {
            Programs::Interfaces
        } else if without(self.probe.may_be_asked()) == Some(true) {
            Programs::Maps
        } else {
            Programs::GuardedMaps
        };
        Needs {
            programs,
            processes: self.options.executables && self.owners.processes.groups().is_some(),
            reads: true,
            writes,
            ..Needs::default()
        }
    }
}

/// Says of each step whether it holds.
pub(crate) fn log(steps: &[Step]) {
    for Step { what, held } in steps {
        match held {
            Ok(held) => tracing::debug!("{what}: {held}"),
            Err(reason) => tracing::info!("{what} is left out: {reason}"),
        }
    }
}
