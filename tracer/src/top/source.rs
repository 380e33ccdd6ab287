//! Where the lines come from: standard input, a file, or an agent of this host that is started for it.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::report::{line::Line, text::shown};

/// Standard input.
const STDIN: &str = "-";
/// A line that is longer is none of the agent's.
const MOST: u64 = 64 * 1024;
/// Lines that wait to be taken; whoever writes them waits then.
const WAITING: usize = 2_048;
/// What an agent is asked to say: what is shown.
const EVENTS: &str = "login,pending,attempt,incident,loss,agent";
/// The agent says a line a minute: a stream that is silent for longer is not what it was.
const SILENT: Duration = Duration::from_secs(75);
/// What every line has among its first bytes that is not looked at, since there are as many as logins. A host's long name
/// stands before it.
const CLOSE: &[u8] = b"\"event\":\"close\"";
const BEGINNING: usize = 320;

/// Whether lines come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Comes,
    /// Not for so many seconds.
    Silent(u64),
    /// No more will; why, where that is not how it should be.
    Ended(Option<String>),
}

/// Where from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// A file, or standard input; of a file, so many times as fast as it was.
    Lines(PathBuf, Option<f64>),
    /// An agent, with these options of `run`.
    Agent(Vec<String>),
}

/// What a source says.
pub(super) enum Said {
    Line(Box<Line>),
    Strange,
    Ended(Option<String>),
}

/// See the module.
pub(super) struct Source {
    said: Receiver<Said>,
    agent: Option<Child>,
    /// How it stands for good.
    ended: Option<Standing>,
    last: Instant,
    speed: Option<Speed>,
    /// Whether lines come as what they tell happens.
    pub(super) is_live: bool,
}

/// A file's time, paced.
struct Speed {
    times: f64,
    begun: Option<(Instant, i64)>,
    waits: Option<Box<Line>>,
}

impl Source {
    /// Opens it.
    ///
    /// # Errors
    /// Where the file can not be read, standard input is a terminal, or no agent can be started.
    pub(super) fn open(origin: Origin) -> anyhow::Result<Self> {
        let (to, said) = sync_channel(WAITING);
        let mut source = Self {
            said,
            agent: None,
            ended: None,
            last: Instant::now(),
            speed: None,
            is_live: true,
        };
        match origin {
            Origin::Lines(path, _) if path == Path::new(STDIN) => {
                if io::stdin().is_terminal() {
                    bail!("standard input is a terminal: give it lines, or name a file");
                }
                thread::Builder::new()
                    .spawn(move || each(BufReader::new(io::stdin()), &to, None))?;
            }
            Origin::Lines(path, speed) => {
                let file = File::open(&path).with_context(|| path.display().to_string())?;
                source.is_live = false;
                source.speed = speed.map(|times| Speed {
                    times,
                    begun: None,
                    waits: None,
                });
                thread::Builder::new().spawn(move || each(BufReader::new(file), &to, None))?;
            }
            Origin::Agent(options) => source.agent = Some(agent(&options, to)?),
        }
        Ok(source)
    }

    /// What was said since, for as long as that keeps coming and time is left. Of what happens now nothing is waited for:
    /// being woken for each line would cost more than the line.
    pub(super) fn each(&mut self, until: Instant, mut take: impl FnMut(Said)) {
        loop {
            if self.holds_back() {
                return;
            }
            let held = self.speed.as_mut().and_then(|speed| speed.waits.take());
            let next = match held {
                Some(line) => Said::Line(line),
                None => match self.next(until) {
                    Some(said) => said,
                    None => return,
                },
            };
            self.last = Instant::now();
            match next {
                Said::Ended(why) => {
                    self.ended = Some(Standing::Ended(why));
                    return;
                }
                Said::Line(line) if self.is_early(&line) => {
                    if let Some(speed) = &mut self.speed {
                        speed.waits = Some(line);
                    }
                    return;
                }
                said => take(said),
            }
            if Instant::now() >= until {
                return;
            }
        }
    }

    fn next(&mut self, until: Instant) -> Option<Said> {
        if self.ended.is_some() {
            return None;
        }
        let left = if self.is_live {
            Duration::ZERO
        } else {
            until.saturating_duration_since(Instant::now())
        };
        match self.said.recv_timeout(left) {
            Ok(said) => Some(said),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Said::Ended(None)),
        }
    }

    /// Whether the line that was read last is still to come.
    fn holds_back(&self) -> bool {
        let speed = self.speed.as_ref();
        let waits = speed.and_then(|speed| speed.waits.as_ref());
        waits.is_some_and(|line| {
            self.due(line.timestamp.0)
                .is_some_and(|due| due > Instant::now())
        })
    }

    fn is_early(&mut self, line: &Line) -> bool {
        let at = line.timestamp.0;
        if let Some(speed) = &mut self.speed {
            speed.begun.get_or_insert((Instant::now(), at));
        }
        self.due(at).is_some_and(|due| due > Instant::now())
    }

    fn due(&self, at: i64) -> Option<Instant> {
        let speed = self.speed.as_ref()?;
        let (begun, first) = speed.begun?;
        let after = at.saturating_sub(first).max(0) as f64 / 1e9 / speed.times;
        begun.checked_add(Duration::try_from_secs_f64(after).ok()?)
    }

    /// How far a file's time has come since its first line, nanoseconds since 1970.
    pub(super) fn paced_ns(&self) -> Option<u64> {
        let speed = self.speed.as_ref()?;
        let (begun, first) = speed.begun?;
        let passed = begun.elapsed().mul_f64(speed.times).as_nanos();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        self.ended
            .is_none()
            .then(|| first.max(0).unsigned_abs().saturating_add(passed))
    }

    /// How long ago the last line came.
    pub(super) fn quiet(&self) -> Duration {
        self.last.elapsed()
    }

    /// Whether lines come.
    pub(super) fn standing(&self) -> Standing {
        match &self.ended {
            Some(ended) => ended.clone(),
            None if self.is_live && self.quiet() > SILENT => {
                Standing::Silent(self.quiet().as_secs())
            }
            None => Standing::Comes,
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let Some(agent) = &mut self.agent else {
            return;
        };
        if let Some(id) = i32::try_from(agent.id()).ok().and_then(Pid::from_raw)
            && matches!(agent.try_wait(), Ok(None))
        {
            // It is asked to stop; where it is gone already there is nobody to ask.
            let _asked = kill_process(id, Signal::TERM);
        }
        // It writes to nobody from here on, and ends by that at the latest.
        while !matches!(self.said.try_recv(), Err(TryRecvError::Disconnected)) {
            if matches!(agent.try_wait(), Ok(Some(_)) | Err(_)) {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        drop(agent.wait());
    }
}

/// Starts an agent, and hands over what it says.
fn agent(options: &[String], to: SyncSender<Said>) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("this program's own file")?;
    let mut child = Command::new(program)
        .args(["run", "--format", "json", "--events", EVENTS])
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting the agent")?;
    let (lines, errors) = (child.stdout.take(), child.stderr.take());
    let (Some(lines), Some(errors)) = (lines, errors) else {
        bail!("the agent has no output");
    };
    let log = thread::Builder::new().spawn(move || last_line(BufReader::new(errors)))?;
    thread::Builder::new().spawn(move || each(BufReader::new(lines), &to, Some(log)))?;
    Ok(child)
}

/// The last line that an agent says of its own work: why it ended.
fn last_line(mut errors: impl BufRead) -> Option<String> {
    let mut last = None;
    let mut text = Vec::new();
    while errors
        .by_ref()
        .take(MOST)
        .read_until(b'\n', &mut text)
        .is_ok_and(|length| length > 0)
    {
        let line = String::from_utf8_lossy(&text);
        let line = line.trim();
        if !line.is_empty() {
            last = Some(shown(line.strip_prefix("tds-tracer: ").unwrap_or(line)));
        }
        text.clear();
    }
    last
}

/// Reads lines until there are no more, or nobody takes them.
fn each(
    mut from: impl BufRead,
    to: &SyncSender<Said>,
    log: Option<thread::JoinHandle<Option<String>>>,
) {
    let mut text = Vec::new();
    let why = loop {
        text.clear();
        match from.by_ref().take(MOST).read_until(b'\n', &mut text) {
            Ok(0) => break log.and_then(|log| log.join().ok()).flatten(),
            Ok(_) => {}
            Err(error) => break Some(error.to_string()),
        }
        let Some(said) = said(&text) else {
            continue;
        };
        if to.send(said).is_err() {
            return;
        }
    };
    // Whoever looked has left.
    drop(to.send(Said::Ended(why)));
}

fn said(text: &[u8]) -> Option<Said> {
    let text = text.trim_ascii();
    let beginning = &text[..text.len().min(BEGINNING)];
    if text.is_empty() || beginning.windows(CLOSE.len()).any(|window| window == CLOSE) {
        return None;
    }
    Some(match serde_json::from_slice(text) {
        Ok(line) => Said::Line(Box::new(line)),
        Err(_) => Said::Strange,
    })
}
