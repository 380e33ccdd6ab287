//! Programs that run beside a test, and end with it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a program may take to end once it is to.
const LIMIT: Duration = Duration::from_secs(15);

/// A running program whose output is kept.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
    errors: Arc<Mutex<String>>,
}

/// All that a program wrote, and how it ended.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// Lines of its standard output.
    pub lines: Vec<String>,
    /// Its standard error.
    pub errors: String,
}

impl Running {
    /// Starts a program.
    pub fn start(command: &mut Command) -> Result<Self> {
        Self::spawn(command, Stdio::null())
    }

    /// Starts a program that goes on when its standard input ends, which [`Self::release`] does.
    pub fn start_held(command: &mut Command) -> Result<Self> {
        Self::spawn(command, Stdio::piped())
    }

    /// Starts a program that reads this.
    pub fn start_with(command: &mut Command, input: &str) -> Result<Self> {
        let mut running = Self::start_held(command)?;
        if let Some(mut stdin) = running.stdin.take() {
            // A program that does not read its input says so by its status.
            std::io::Write::write_all(&mut stdin, input.as_bytes()).ok();
        }
        Ok(running)
    }

    fn spawn(command: &mut Command, stdin: Stdio) -> Result<Self> {
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let reader = stdout
                .into_iter()
                .flat_map(|pipe| BufReader::new(pipe).lines());
            for line in reader.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let errors = Arc::new(Mutex::new(String::new()));
        let keep = Arc::clone(&errors);
        std::thread::spawn(move || {
            let reader = stderr
                .into_iter()
                .flat_map(|pipe| BufReader::new(pipe).lines());
            for line in reader.map_while(Result::ok) {
                let mut kept = keep.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            lines,
            seen: Vec::new(),
            errors,
        })
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lines of standard output so far.
    pub fn lines(&mut self) -> &[String] {
        self.seen.extend(self.lines.try_iter());
        &self.seen
    }

    /// Standard error so far.
    pub fn errors(&self) -> String {
        self.errors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until `done` likes the lines of standard output, and says whether
    /// it did within `limit`.
    pub fn wait_lines(&mut self, limit: Duration, mut done: impl FnMut(&[String]) -> bool) -> bool {
        let end = Instant::now() + limit;
        loop {
            if done(self.lines()) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => return done(self.lines()),
            }
        }
    }

    /// Waits until standard error holds `text`.
    pub fn wait_errors(&self, text: &str, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while !self.errors().contains(text) {
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Sends a signal by name and waits for the end.
    pub fn stop(self, signal: &str) -> Result<Ended> {
        self.signal(signal)?;
        self.end(LIMIT)
    }

    /// Ends its standard input and waits for the end.
    pub fn release(self) -> Result<Ended> {
        self.release_within(LIMIT)
    }

    /// The same, which may take as long.
    pub fn release_within(mut self, limit: Duration) -> Result<Ended> {
        self.stdin = None;
        self.end(limit)
    }

    /// Whether it has ended.
    pub fn is_over(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for the end, which comes by itself within `limit`.
    pub fn end(mut self, limit: Duration) -> Result<Ended> {
        let status = self.wait(limit)?;
        self.wait_lines(Duration::from_secs(2), |_| false);
        Ok(Ended {
            status,
            lines: std::mem::take(&mut self.seen),
            errors: self.errors(),
        })
    }

    /// Sends a signal by name.
    pub fn signal(&self, signal: &str) -> Result<()> {
        self::signal(self.pid(), signal)
    }

    fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > end {
                bail!(
                    "still running after {limit:?}; standard error: {}",
                    self.errors()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail on a process that ended already, as they should.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs a program to its end, for `limit` at most; its standard output and
/// error come back together.
pub fn run(command: &mut Command, input: &str, limit: Duration) -> Result<(ExitStatus, String)> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input says so by its status.
        std::io::Write::write_all(&mut stdin, input.as_bytes()).ok();
    }
    let readers = [
        child
            .stdout
            .take()
            .map(|pipe| std::thread::spawn(move || read_all(pipe))),
        child
            .stderr
            .take()
            .map(|pipe| std::thread::spawn(move || read_all(pipe))),
    ];
    let end = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > end {
            child.kill()?;
            break child.wait()?;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let text = readers
        .into_iter()
        .flatten()
        .filter_map(|reader| reader.join().ok())
        .collect();
    Ok((status, text))
}

/// Waits for something that others do; fails where it is not done within `limit`.
pub fn until(limit: Duration, mut done: impl FnMut() -> bool) -> Result<()> {
    let end = Instant::now() + limit;
    while !done() {
        if Instant::now() > end {
            bail!("waited in vain for {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn read_all(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    // What could be read is all there is to show.
    pipe.read_to_end(&mut bytes).ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends a process a signal.
pub fn signal(pid: u32, signal: &str) -> Result<()> {
    let pid = pid.to_string();
    let status = Command::new("kill").args(["-s", signal, &pid]).status()?;
    if !status.success() {
        bail!("cannot send {signal} to {pid}");
    }
    Ok(())
}
