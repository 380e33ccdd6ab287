//! What the agent at work gives up: see [`crate::confine`].

use std::path::PathBuf;

use anyhow::Context as _;

use super::{RunOptions, watcher::Watcher};
use crate::{
    confine::{
        Needs, Programs, Step, confine,
        user::{self, Choice, Reached},
        without,
    },
    host::containers::Readable,
    metrics::Metrics,
};

/// Goes on as another user than root, where that is wanted, or may be.
pub(super) fn change_user(options: &RunOptions) -> anyhow::Result<()> {
    if options.user == Choice::Auto && !options.confine {
        return Ok(());
    }
    let held = user::change(&options.user, &options.reached()).context("`--user`")?;
    match (&options.user, held) {
        // Nobody has asked for another one, and `doctor` says why there is none.
        (Choice::Auto, Err(reason)) => tracing::debug!("it goes on as root: {reason}"),
        (_, held) => log(&[Step { what: "user", held }]),
    }
    Ok(())
}

impl RunOptions {
    /// What is reached by its path once the agent is at work.
    fn reached(&self) -> Reached {
        let mut reads = self.files.clone();
        reads.extend(Readable::read_under(&self.host_root));
        // Whoever opens a socket writes to it.
        let writes = self.written().into_iter().chain(self.cri_socket.clone());
        Reached {
            reads,
            writes: writes.collect(),
        }
    }

    /// Folders in which files are made.
    fn written(&self) -> Vec<PathBuf> {
        let outputs = self.outputs.iter();
        let recording = self.recording.as_ref();
        outputs
            .flat_map(|output| output.needs().writes)
            .chain(self.state.clone())
            .chain(recording.map(|recording| recording.folder.clone()))
            .collect()
    }
}

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
            // Files are opened anew by this thread.
            writes: self.options.written(),
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
