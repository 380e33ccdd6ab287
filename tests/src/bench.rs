//! What measurements of a running agent share: the agent, those that it watches, and what is made of figures.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::net::Namespace;
use crate::peer::program;

/// How long an agent may take to start.
const LIMIT: Duration = Duration::from_mins(1);

/// An agent that writes to a file, and sees the sockets of one namespace only.
pub struct Watching {
    agent: Running,
    lines: Lines,
}

/// An agent that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where it was stopped.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The lines that an agent has written, a file that is gone with this.
pub struct Lines(PathBuf);

impl Deref for Lines {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

impl Watching {
    /// Starts it, and waits until it watches.
    pub fn start(host: &Namespace, options: &[&str]) -> Result<Self> {
        let lines = env::temp_dir().join(format!("bench-{}.jsonl", std::process::id()));
        if lines.exists() {
            fs::remove_file(&lines)?;
        }
        let child = command(host, options)?
            .arg("--output")
            .arg(&lines)
            .spawn()?;
        let watching = Self {
            agent: Running(child),
            lines: Lines(lines),
        };
        let limit = Instant::now() + LIMIT;
        while !watching.has_said("\"start\"") {
            ensure!(Instant::now() < limit, "the agent does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(watching)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.agent.0.id()
    }

    /// Where its lines are.
    pub fn lines(&self) -> &Path {
        &self.lines
    }

    /// Whether this text is in its lines.
    pub fn has_said(&self, text: &str) -> bool {
        fs::read_to_string(&*self.lines).is_ok_and(|said| said.contains(text))
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) -> Result<()> {
        signal(self.pid(), name)
    }

    /// What it holds of memory, and the most it held: KiB.
    pub fn resident(&self) -> Result<[u64; 2]> {
        resident(self.pid())
    }

    /// Processor time of all its threads, user and system.
    pub fn processor(&self) -> Result<Duration> {
        processor(self.pid())
    }

    /// The same with that of threads that have ended, in ticks of the kernel's (proc(5)).
    pub fn processor_since_start(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        // Its name may have spaces and parentheses.
        let (_, fields) = stat.rsplit_once(')').context("no name")?;
        let mut ticks = 0;
        for field in fields.split_whitespace().skip(11).take(2) {
            ticks += field.parse::<u64>()?;
        }
        let a_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs_f64(ticks as f64 / a_second as f64))
    }

    /// Stops it as a service manager would, and gives its lines.
    pub fn stop(mut self) -> Result<Lines> {
        self.signal("TERM")?;
        self.agent.0.wait()?;
        Ok(self.lines)
    }
}

/// The command of an agent that sees the sockets of a namespace of one's own.
pub fn command(host: &Namespace, options: &[&str]) -> Result<Command> {
    let mut command = host.command(program("tds-tracer")?);
    command.args(["run", "--log-level", "warn"]);
    if !options.contains(&"--source") {
        command.args(["--source", "sockets", "--cgroup", &host.group()]);
    }
    command.args(options);
    Ok(command)
}

/// Processor time of all threads of a process, as the scheduler counts it.
pub fn processor(pid: u32) -> Result<Duration> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let statistics = fs::read_to_string(thread?.path().join("schedstat"))?;
        let nanos = statistics.split(' ').next().context("no time")?;
        sum += nanos.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(sum))
}

/// What a process holds of memory, and the most it held: KiB.
pub fn resident(pid: u32) -> Result<[u64; 2]> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let of = |name: &str| -> Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let line = line.context("no figure of memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    Ok([of("VmRSS:")?, of("VmHWM:")?])
}

/// One end of a crowd; see [`crate::crowd`].
pub struct Crowd {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Crowd {
    /// Starts a server, and waits until it listens.
    pub fn serve(host: &Namespace, arguments: &[&str]) -> Result<Self> {
        let mut server = Self::start(host, &[&["serve"], arguments].concat())?;
        server.line()?;
        Ok(server)
    }

    /// Starts one end.
    pub fn start(host: &Namespace, arguments: &[&str]) -> Result<Self> {
        let mut child = host
            .command(program("crowd")?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        let input = child.stdin.take();
        Ok(Self {
            child,
            input,
            output,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its next line.
    pub fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.is_empty() {
            bail!("one end of a crowd has ended");
        }
        Ok(line)
    }

    /// The figure behind a word of its next line, nanoseconds.
    pub fn figures<const N: usize>(&mut self, words: [&str; N]) -> Result<[u64; N]> {
        let line = self.line()?;
        let mut figures = [0; N];
        for (figure, word) in figures.iter_mut().zip(words) {
            let mut rest = line.split_whitespace().skip_while(|said| *said != word);
            let said = rest.nth(1).with_context(|| format!("no {word}: {line}"))?;
            *figure = said.parse()?;
        }
        Ok(figures)
    }

    /// Ends its standard input, and waits for its end.
    pub fn release(mut self) -> Result<()> {
        self.input = None;
        let status = self.child.wait()?;
        ensure!(status.success(), "one end of a crowd failed");
        Ok(())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Sends a signal by name.
pub fn signal(pid: u32, name: &str) -> Result<()> {
    let status = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status()?;
    ensure!(status.success(), "kill -{name} {pid} failed");
    Ok(())
}

/// The middle one.
pub fn median(figures: &[f64]) -> f64 {
    at(figures, 50)
}

/// The one below which so many percent lie.
pub fn at(figures: &[f64], percent: usize) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted
        .get(last * percent / 100)
        .copied()
        .unwrap_or(f64::NAN)
}

/// What pairs say: the middle one of their ratios, and between which a half of these lie.
pub fn ratio(pairs: &[[f64; 2]]) -> String {
    let ratios: Vec<_> = pairs.iter().map(|[with, without]| with / without).collect();
    let percent = |part| (at(&ratios, part) - 1.0) * 100.0;
    format!(
        "{:+.1} % (a half of the pairs: {:+.1} to {:+.1} %)",
        percent(50),
        percent(25),
        percent(75)
    )
}
