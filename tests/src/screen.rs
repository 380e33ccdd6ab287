//! A terminal whose screen is read: a program in a tmux of its own.

use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// A program, and its screen of so many columns and rows.
pub struct Screen {
    socket: String,
}

/// Whether there is no tmux here.
pub fn missing() -> bool {
    let found = Command::new("tmux").arg("-V").output();
    !found.is_ok_and(|output| output.status.success())
}

impl Screen {
    /// Starts a shell's line in a terminal of this size; `tmux` is the command that starts tmux, in whatever
    /// namespace.
    pub fn start(mut tmux: Command, name: &str, size: (u16, u16), line: &str) -> Result<Self> {
        let socket = format!("tds-tracer-{name}-{}", std::process::id());
        let (width, height) = (size.0.to_string(), size.1.to_string());
        tmux.args(["-L", &socket, "-f", "/dev/null", "new-session", "-d"]);
        let output = tmux.args(["-x", &width, "-y", &height, line]).output()?;
        ensure!(output.status.success(), "tmux: {output:?}");
        Ok(Self { socket })
    }

    fn tmux(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.socket]).args(arguments);
        command.output().context("cannot run tmux")
    }

    /// What is on the screen; nothing once the program is over.
    pub fn text(&self) -> Option<String> {
        let output = self.tmux(&["capture-pane", "-p"]).ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success().then_some(text)
    }

    /// Presses keys, by tmux's names.
    pub fn press(&self, keys: &[&str]) -> Result<()> {
        let output = self.tmux(&[&["send-keys"], keys].concat())?;
        ensure!(output.status.success(), "tmux: {output:?}");
        Ok(())
    }

    /// Pastes a text.
    pub fn paste(&self, text: &str) -> Result<()> {
        self.tmux(&["set-buffer", text])?;
        let output = self.tmux(&["paste-buffer", "-p"])?;
        ensure!(output.status.success(), "tmux: {output:?}");
        Ok(())
    }

    /// Makes the terminal so many columns and rows large.
    pub fn resize(&self, (width, height): (u16, u16)) -> Result<()> {
        let (width, height) = (width.to_string(), height.to_string());
        let output = self.tmux(&["resize-window", "-x", &width, "-y", &height])?;
        ensure!(output.status.success(), "tmux: {output:?}");
        Ok(())
    }

    /// Waits until the screen is as `is` wants it, and gives it.
    pub fn wait(&self, limit: Duration, is: impl Fn(&str) -> bool) -> Result<String> {
        let end = Instant::now() + limit;
        loop {
            let text = self.text().unwrap_or_default();
            if is(&text) {
                return Ok(text);
            }
            if Instant::now() > end {
                bail!("the screen stays:\n{text}");
            }
            thread::sleep(LOOK);
        }
    }

    /// Whether the program ends within this time.
    pub fn ends(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while self.text().is_some() {
            if Instant::now() > end {
                return false;
            }
            thread::sleep(LOOK);
        }
        true
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It may be over already.
        drop(self.tmux(&["kill-server"]));
    }
}
