//! What the agent at work gives up: see [`crate::confine`].

use std::path::{Path, PathBuf};

use super::{RunOptions, watcher::Watcher};
use crate::{
    confine::{Needs, Step, confine},
    sink::Destination,
};

impl Watcher {
    /// Gives up what is not needed any more, on this thread and on the one that writes.
    pub(super) fn confine(&mut self) {
        if !self.options.confine {
            return;
        }
        self.records.output.confine(of_the_writer(&self.options));
        log(&confine(&self.needs()));
    }

    fn needs(&self) -> Needs {
        let mut writes = of_the_writer(&self.options).writes;
        writes.extend(self.options.state.clone());
        Needs {
            programs: true,
            processes: self.owners.processes.groups().is_some(),
            reads: true,
            answers: false,
            namespaces: false,
            writes,
        }
    }
}

/// It moves files and opens them, in one folder.
fn of_the_writer(options: &RunOptions) -> Needs {
    Needs {
        writes: output_folder(options).into_iter().collect(),
        ..Needs::default()
    }
}

/// The folder of the output file.
pub(super) fn output_folder(options: &RunOptions) -> Option<PathBuf> {
    let Destination::File(path, _) = &options.output.destination else {
        return None;
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    Some(folder.unwrap_or(Path::new(".")).to_owned())
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
