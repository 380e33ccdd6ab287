//! The agent inside the emulator.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{AGENT, PATIENCE};
use crate::process::{command, output};

/// Lines of the agent's log that a failure shows.
const LOG_LINES: usize = 40;

/// The agent, writing JSON lines to a file.
pub(super) struct Agent {
    child: Child,
    events: String,
    log: String,
}

impl Agent {
    /// Starts it and waits for its own word that it watches.
    pub(super) fn start(name: &str, source: &[&str]) -> Result<Self> {
        let (events, log) = (format!("/tmp/{name}.jsonl"), format!("/tmp/{name}.log"));
        // The verifier's words are in the agent's log at this level.
        let child = Command::new(AGENT)
            .args(["run", "--log-level", "debug", "--source"])
            .args(source)
            .stdin(Stdio::null())
            .stdout(File::create(&events)?)
            .stderr(File::create(&log)?)
            .spawn()
            .context("cannot start the agent")?;
        let mut agent = Self { child, events, log };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = agent.child.try_wait()? {
                bail!("the agent ended with {status}: {}", agent.last_words()?);
            }
            if agent.find(|event| event["event"] == "agent")?.is_some() {
                // Its line is written when it begins; interfaces follow.
                thread::sleep(Duration::from_secs(1));
                return Ok(agent);
            }
            thread::sleep(Duration::from_millis(100));
        }
        bail!(
            "the agent did not say that it watches: {}",
            agent.last_words()?
        )
    }

    /// The log's last line; the lines before it go to the console.
    fn last_words(&self) -> Result<String> {
        let log = fs::read_to_string(&self.log)?;
        let lines: Vec<&str> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            eprintln!("{line}");
        }
        Ok((*lines.last().unwrap_or(&"without a word")).to_owned())
    }

    /// The events for which `wanted` holds, as of now.
    pub(super) fn all(&self, wanted: impl Fn(&Value) -> bool) -> Result<Vec<Value>> {
        let text = fs::read_to_string(&self.events)?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let event = |line: &str| serde_json::from_str(line).with_context(|| line.to_owned());
        let mut events: Vec<Value> = whole.lines().map(event).collect::<Result<_>>()?;
        events.retain(wanted);
        Ok(events)
    }

    /// The first of them.
    pub(super) fn find(&self, wanted: impl Fn(&Value) -> bool) -> Result<Option<Value>> {
        Ok(self.all(wanted)?.into_iter().next())
    }

    pub(super) fn wait_for(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(event) = self.find(&wanted)? {
                return Ok(event);
            }
            thread::sleep(Duration::from_millis(50));
        }
        eprintln!("{}", fs::read_to_string(&self.events)?);
        bail!("no {what} event")
    }

    pub(super) fn stop(mut self) -> Result<()> {
        output(&mut command(
            "kill",
            ["-TERM", &self.child.id().to_string()],
        ))?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the agent ended with {status}");
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.kill()?;
        bail!("the agent did not end on SIGTERM")
    }

    pub(super) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}
