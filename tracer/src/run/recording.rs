//! The flight recorder beside the agent's work: what it hands over is written into a folder of its own, on another
//! thread.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use tokio::task::{JoinHandle, spawn_blocking};

use super::RunOptions;
use crate::{
    host,
    recorder::{Bundle, Recorder},
};

/// Bundles have names of their own; nothing else in the folder is touched.
const PREFIX: &str = "tds-tracer-";
/// What is being written has this name too.
const UNFINISHED: &str = ".unfinished";

/// What is recorded, and where to.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The folder.
    pub folder: PathBuf,
    /// Bytes kept of what the kernel has told.
    pub ring_bytes: usize,
    /// Bytes of bundles in the folder; the oldest make room.
    pub folder_bytes: u64,
}

impl Recording {
    /// Makes the folder, where it is not there.
    pub(super) fn prepare(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(&self.folder)
    }
}

/// Who writes bundles.
#[derive(Debug)]
pub(super) struct Scribe {
    recording: Recording,
    config: BTreeMap<String, Vec<String>>,
    writing: Option<JoinHandle<io::Result<PathBuf>>>,
}

impl Scribe {
    pub(super) fn new(options: &RunOptions) -> Option<Self> {
        let said = options.said.iter().map(|(name, values)| {
            let values = values
                .iter()
                .map(|value| value.to_string_lossy().into_owned());
            (name.clone(), values.collect())
        });
        Some(Self {
            recording: options.recording.clone()?,
            config: said.collect(),
            writing: None,
        })
    }

    /// Writes what the recorder hands over by now; what is to be said of the time before.
    pub(super) async fn tick(&mut self, recorder: &mut Recorder, finally: bool) -> Option<String> {
        if let Some(writing) = &self.writing
            && !writing.is_finished()
            && !finally
        {
            return None;
        }
        let complaint = self.written().await;
        if let Some(bundle) = recorder.due(&self.config, finally) {
            let recording = self.recording.clone();
            self.writing = Some(spawn_blocking(move || write(&recording, &bundle)));
        }
        if finally {
            return self.written().await.or(complaint);
        }
        complaint
    }

    async fn written(&mut self) -> Option<String> {
        match self.writing.take()?.await {
            Ok(Ok(path)) => {
                tracing::info!("recorded: {}", path.display());
                None
            }
            Ok(Err(error)) => Some(format!("{}: {error}", self.recording.folder.display())),
            Err(error) => Some(error.to_string()),
        }
    }
}

fn write(recording: &Recording, bundle: &Bundle) -> io::Result<PathBuf> {
    let folder = recording.folder.join(format!("{PREFIX}{}", bundle.name));
    let unfinished = folder.with_extension(&UNFINISHED[1..]);
    DirBuilder::new().mode(0o750).create(&unfinished)?;
    for (name, bytes) in &bundle.files {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o640);
        options.open(unfinished.join(name))?.write_all(bytes)?;
    }
    fs::rename(&unfinished, &folder)?;
    make_room(recording, &folder)?;
    Ok(folder)
}

/// Deletes the oldest bundles where there are too many bytes; the newest stays.
fn make_room(recording: &Recording, newest: &Path) -> io::Result<()> {
    let mut bundles = Vec::new();
    for entry in fs::read_dir(&recording.folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(PREFIX) && entry.file_type()?.is_dir() {
            bundles.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    bundles.sort();
    let mut bytes = 0;
    for (_, path) in bundles.iter().rev() {
        bytes += size(path)?;
        if bytes > recording.folder_bytes && path != newest {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

/// The flight recorder, where one is asked for.
pub(super) fn recorder(options: &RunOptions, wall_offset: i64) -> Option<Recorder> {
    let bytes = options.recording.as_ref()?.ring_bytes;
    let output = options.outputs.first()?;
    let slow = output.filter.slow;
    let mut recorder = Recorder::new(bytes, slow, &host::name(), output.run);
    recorder.set_wall_offset(wall_offset);
    Some(recorder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_bundles_make_room_and_nothing_else_does() {
        let id = std::process::id();
        let folder = std::env::temp_dir().join(format!("tds-tracer-recording-{id}"));
        let recording = Recording {
            folder: folder.clone(),
            ring_bytes: 0,
            folder_bytes: 3_000,
        };
        recording.prepare().unwrap();
        fs::create_dir(folder.join("other")).unwrap();
        fs::write(folder.join("other/file"), [0; 9_000]).unwrap();
        for number in 0..5 {
            let bundle = Bundle {
                name: format!("{number}-failed"),
                files: vec![
                    ("packets.pcapng", vec![0; 1_000]),
                    ("events.jsonl", vec![0; 200]),
                ],
            };
            write(&recording, &bundle).unwrap();
        }
        let mut left: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(
            left,
            ["other", "tds-tracer-3-failed", "tds-tracer-4-failed"]
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}
