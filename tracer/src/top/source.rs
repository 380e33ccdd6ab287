//! Where the lines come from: standard input, a file, or an agent of this host that is started for it.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Read},
    mem,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use memchr::{memchr, memrchr};
use rustix::{
    pipe::fcntl_setpipe_size,
    process::{Pid, Signal, kill_process},
};

use super::head::Head;
use crate::report::{line::Line, text::shown};

/// Standard input.
const STDIN: &str = "-";
/// A line that is longer is none of the agent's.
const MOST: usize = 64 * 1024;
/// What an agent is asked to say: what is shown.
const EVENTS: &str = "login,pending,attempt,incident,loss,agent";
/// The agent says a line a minute: a stream that is silent for longer is not what it was.
const SILENT: Duration = Duration::from_secs(75);
/// Bytes that are taken at once. Where there were fewer than a part of that, what comes next may wait for so long: being
/// woken for each line would cost more than the line.
const AT_ONCE: usize = 256 * 1024;
const FEW: usize = 32 * 1024;
const REST: Duration = Duration::from_millis(40);
/// What a pipe may hold meanwhile, so that nobody who writes into it waits: what the kernel gives without a privilege.
const HELD: usize = 1024 * 1024;
/// Blocks of lines that wait to be read; whoever writes them waits then.
const WAITING: usize = 8;

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
    /// One of which nothing is shown.
    Passed(Head),
    Strange,
    Ended(Option<String>),
}

/// What the thread hands over that waits for what comes. What it says is read by whoever shows it: memory that one thread
/// takes and another gives back costs more.
enum Block {
    /// Whole lines, but for the last one of all.
    Lines(Vec<u8>),
    Ended(Option<String>),
}

/// See the module.
pub(super) struct Source {
    blocks: Receiver<Block>,
    /// Lines of which those from `at` on are still to be read.
    block: Vec<u8>,
    at: usize,
    agent: Option<Child>,
    /// How it stands for good.
    ended: Option<Standing>,
    last: Instant,
    speed: Option<Speed>,
    /// Whether lines come as what they tell happens.
    is_live: bool,
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
        let (to, blocks) = sync_channel(WAITING);
        let mut source = Self {
            blocks,
            block: Vec::new(),
            at: 0,
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
                come(io::stdin(), to, None)?;
            }
            Origin::Lines(path, speed) => {
                let file = File::open(&path).with_context(|| path.display().to_string())?;
                source.is_live = false;
                source.speed = speed.map(|times| Speed {
                    times,
                    begun: None,
                    waits: None,
                });
                thread::Builder::new().spawn(move || hand_over(file, &to, None, None))?;
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
        loop {
            while let Some(rest) = self.block.get(self.at..).filter(|rest| !rest.is_empty()) {
                let length = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
                self.at += length;
                if let Some(said) = said(&rest[..length]) {
                    return Some(said);
                }
            }
            match self.blocks.recv_timeout(left) {
                Ok(Block::Lines(block)) => (self.block, self.at) = (block, 0),
                Ok(Block::Ended(why)) => return Some(Said::Ended(why)),
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => return Some(Said::Ended(None)),
            }
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

    /// How long ago the last line came, nanoseconds; of lines that come as it happens, while they do.
    pub(super) fn quiet_ns(&self) -> Option<u64> {
        let comes = self.is_live && self.ended.is_none();
        comes.then(|| u64::try_from(self.quiet().as_nanos()).unwrap_or_default())
    }

    fn quiet(&self) -> Duration {
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
        while !matches!(self.blocks.try_recv(), Err(TryRecvError::Disconnected)) {
            if matches!(agent.try_wait(), Ok(Some(_)) | Err(_)) {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        drop(agent.wait());
    }
}

/// Starts an agent, and hands over what it says.
fn agent(options: &[String], to: SyncSender<Block>) -> anyhow::Result<Child> {
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
    come(lines, to, Some(log))?;
    Ok(child)
}

/// Takes what comes as it happens, a few times a second.
fn come(
    from: impl Read + AsFd + Send + 'static,
    to: SyncSender<Block>,
    log: Option<JoinHandle<Option<String>>>,
) -> io::Result<()> {
    // What is no pipe has a bound of its own.
    let _held = fcntl_setpipe_size(&from, HELD);
    thread::Builder::new().spawn(move || hand_over(from, &to, log, Some(REST)))?;
    Ok(())
}

/// The last line that an agent says of its own work: why it ended.
fn last_line(mut errors: impl BufRead) -> Option<String> {
    let mut last = None;
    let mut text = Vec::new();
    while errors
        .by_ref()
        .take(MOST as u64)
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

/// Hands over whole lines until there are no more, or nobody takes them. After it has taken little it `rests`.
fn hand_over(
    from: impl Read,
    to: &SyncSender<Block>,
    log: Option<JoinHandle<Option<String>>>,
    rests: Option<Duration>,
) {
    let mut from = BufReader::with_capacity(AT_ONCE, from);
    // The beginning of a line whose end is still to come.
    let mut begun = Vec::new();
    let why = loop {
        let come = match from.fill_buf() {
            Ok(come) => come,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => break Some(error.to_string()),
        };
        let length = come.len();
        let mut block = mem::take(&mut begun);
        let before = block.len();
        block.extend_from_slice(come);
        from.consume(length);
        match memrchr(b'\n', &block[before..]) {
            Some(end) => begun = block.split_off(before + end + 1),
            // The last line has no end; one that is too long is handed over as what it is not.
            None if length == 0 || block.len() > MOST => {}
            None => mem::swap(&mut begun, &mut block),
        }
        if !block.is_empty() && to.send(Block::Lines(block)).is_err() {
            return;
        }
        if length == 0 {
            break log.and_then(|log| log.join().ok()).flatten();
        }
        if let Some(rests) = rests.filter(|_| length < FEW) {
            thread::sleep(rests);
        }
    };
    // Whoever looked has left.
    drop(to.send(Block::Ended(why)));
}

fn said(text: &[u8]) -> Option<Said> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return None;
    }
    if let Some(head) = Head::of_passed(text) {
        return Some(Said::Passed(head));
    }
    Some(match serde_json::from_slice(text) {
        Ok(line) => Said::Line(Box::new(line)),
        Err(_) => Said::Strange,
    })
}
