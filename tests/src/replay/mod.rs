//! Runs the agent's `replay` and reads what it says.

mod connection;
mod engine;
mod segments;

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

pub use self::{
    connection::{Frame, frames, rewrite, said, said_with},
    engine::{Replayed, line},
    segments::{Segment, is_same_message, segments},
};

/// Captures of real drivers: `TDS_TRACER_CAPTURES`, or `../shared/captures` beside the workspace, or
/// those kept in `fixtures/captures`.
pub fn captures() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let given = env::var_os("TDS_TRACER_CAPTURES").map(PathBuf::from);
    let beside = tests.join("../../shared/captures");
    given
        .or_else(|| beside.is_dir().then_some(beside))
        .unwrap_or_else(|| tests.join("fixtures/captures"))
}

/// The agent: `TDS_TRACER`, or what was built beside these tests.
pub fn agent() -> Result<PathBuf> {
    if let Some(path) = env::var_os("TDS_TRACER") {
        return Ok(path.into());
    }
    let test = env::current_exe()?;
    // Tests are in `deps`, or beside the programs.
    let mut folders = test.ancestors().skip(1).take(2);
    folders
        .find_map(|folder| {
            let path = folder.join("tds-tracer");
            path.is_file().then_some(path)
        })
        .context("no tds-tracer beside the tests: `cargo build --package tracer` makes it")
}

/// The same name for every run, so that the lines of two can be compared.
pub const RUN_ID: [&str; 2] = ["--run-id", "0000000000000000"];

/// `tds-tracer replay` with these arguments, whatever it exits with.
pub fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Output> {
    let agent = agent()?;
    let mut command = Command::new(&agent);
    let output = command.arg("replay").args(RUN_ID).args(arguments).output();
    output.with_context(|| agent.display().to_string())
}

/// The events of one capture.
pub fn events(capture: &Path) -> Result<Vec<Value>> {
    events_with(capture, &[])
}

/// The events of one capture, replayed with more arguments.
pub fn events_with(capture: &Path, arguments: &[&str]) -> Result<Vec<Value>> {
    let arguments = arguments.iter().map(OsStr::new);
    let output = run(arguments.chain([capture.as_os_str()]))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "replay of {} ended with {}: {errors}",
        capture.display(),
        output.status,
    );
    let lines = String::from_utf8(output.stdout)?;
    lines
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}")))
        .collect()
}

/// The value at a dotted path, such as `phases.tls.duration_ns`.
pub fn field<'a>(event: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(event, |value, name| value.get(name))
}
