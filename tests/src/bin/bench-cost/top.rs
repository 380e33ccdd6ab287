//! What `top` takes of a processor while it shows a thousand logins a second, and how it compares with another build.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use harness::bench::{median, processor};
use harness::replay::{agent, captures};
use harness::screen::Screen;

const TRIALS: usize = 3;
/// Logins a second, each with its attempt and its close, as an agent writes them.
const RATE: u32 = 1_000;
/// Time of a trial, and before it, in which the program comes to rest.
const LASTS: Duration = Duration::from_secs(10);
const BEFORE: Duration = Duration::from_secs(2);
const SIZES: [(u16, u16); 2] = [(80, 24), (200, 50)];
/// A real driver's login.
const CAPTURE: &str = "odbc18-lab-tls12.pcap";
/// The aim: percent of a processor.
const AIM: f64 = 2.0;

pub(crate) fn measure(beside: Option<&Path>) -> Result<()> {
    println!(
        "processor time of `top` at {RATE} logins a second, medians of {TRIALS} trials of {} s; aim: {AIM} %",
        LASTS.as_secs()
    );
    let own = agent()?;
    let programs = [("this build", Some(own.as_path())), ("the other", beside)];
    for size in SIZES {
        let mut trials = [const { Vec::new() }; 2];
        for _ in 0..TRIALS {
            for ((_, program), trials) in programs.iter().zip(&mut trials) {
                if let Some(program) = program {
                    trials.push(of_logins(program, size)?);
                }
            }
        }
        for ((name, _), trials) in programs.iter().zip(&trials) {
            if !trials.is_empty() {
                let (width, height) = size;
                println!(
                    "  {name}, {width} by {height}: {:.2} %; {trials:.2?}",
                    median(trials)
                );
            }
        }
    }
    Ok(())
}

/// The lines of one login, as text, so that their fields stay in the order in which an agent writes them.
struct Template {
    lines: String,
    /// The texts in them that tell one login from another: its id, and when it was told.
    id: String,
    time: String,
    /// How many lines, the first of which has the number 1.
    many: u64,
}

impl Template {
    fn new() -> Result<Self> {
        let mut command = Command::new(agent()?);
        let output = command
            .arg("replay")
            .arg(captures().join(CAPTURE))
            .output()?;
        let said = String::from_utf8(output.stdout)?;
        let wanted = ["login", "attempt", "close"];
        let mut lines = String::new();
        let (mut id, mut time, mut many) = (None, None, 0);
        for line in said.lines() {
            let told: serde_json::Value = serde_json::from_str(line)?;
            let event = told["event"].as_str().unwrap_or_default();
            if !wanted.contains(&event) {
                continue;
            }
            many += 1;
            let number = format!("\"line\":{}", told["line"]);
            let moment = told["timestamp"].as_str().context("no time")?;
            let time = time.get_or_insert_with(|| moment.to_owned());
            let line = line.replacen(&number, &format!("\"line\":#{many}#"), 1);
            lines += &line.replacen(moment, time, 1);
            lines.push('\n');
            id = id.or_else(|| told["connection"]["id"].as_str().map(str::to_owned));
        }
        ensure!(many == 3, "{CAPTURE} is not one login: {said}");
        Ok(Self {
            lines,
            id: id.context("no connection")?,
            time: time.context("no time")?,
            many,
        })
    }

    /// The lines of the login of this number, told now.
    fn of(&self, number: u64) -> String {
        let now = jiff::Timestamp::now().to_string();
        let lines = self.lines.replace(&self.id, &format!("{number:016x}"));
        let mut lines = lines.replace(&self.time, &now);
        for line in 1..=self.many {
            let place = format!("#{line}#");
            lines = lines.replace(&place, &(number * self.many + line).to_string());
        }
        lines
    }
}

/// A folder that is gone with the trial.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Percent of a processor.
fn of_logins(program: &Path, size: (u16, u16)) -> Result<f64> {
    let folder = std::env::temp_dir().join(format!("bench-top-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let folder = Folder(folder);
    let (pipe, id) = (folder.0.join("lines"), folder.0.join("id"));
    let made = Command::new("mkfifo").arg(&pipe).status()?;
    ensure!(made.success(), "mkfifo: {made}");
    let line = format!(
        "echo $$ > {}; exec {} top - < {}",
        id.display(),
        program.display(),
        pipe.display()
    );
    // The one before may not be gone yet.
    let name = format!("bench-{}", jiff::Timestamp::now().as_millisecond());
    let screen = Screen::start(Command::new("tmux"), &name, size, &line)?;
    let mut stream = File::options().write(true).open(&pipe)?;
    let template = Template::new()?;
    let begun = Instant::now();
    let mut number = 0;
    let mut stream_until = |end: Duration| -> Result<()> {
        while begun.elapsed() < end {
            let due = begun.elapsed().as_secs_f64() * f64::from(RATE);
            while (number as f64) < due {
                // One by one, as an agent writes them that is asked for little.
                stream.write_all(template.of(number).as_bytes())?;
                number += 1;
            }
            sleep(Duration::from_micros(500));
        }
        Ok(())
    };
    stream_until(BEFORE)?;
    let id: u32 = fs::read_to_string(&id)?.trim().parse()?;
    let before = (processor(id)?, Instant::now());
    stream_until(BEFORE + LASTS)?;
    let took = processor(id)?.saturating_sub(before.0);
    let share = took.as_secs_f64() / before.1.elapsed().as_secs_f64() * 100.0;
    let shown = screen.text().unwrap_or_default();
    ensure!(shown.contains("live"), "it shows no stream:\n{shown}");
    ensure!(!shown.contains(" lost"), "it missed lines:\n{shown}");
    Ok(share)
}
