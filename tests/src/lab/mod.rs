//! The laboratory: faults are made to happen to real drivers, in namespaces, while the agent watches. What
//! is true of each login is known, for the laboratory did it; so it can be counted how often the agent's
//! first cause is right, and whether it is as sure as it should be.
//!
//! `faults` says what can go wrong, `trial` is one run of it, `site` and `router` are where it happens,
//! `verdict` compares, `score` and `page` tell. `healthy` is logins alone that go well, many of them.

mod client;
mod draw;
mod faults;
pub mod healthy;
pub mod page;
mod resolver;
mod router;
mod score;
mod site;
mod trial;
mod verdict;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use clap::Args;

use self::draw::Draw;
use self::faults::{FAULTS, Fault, HEALTHY};
pub use self::score::Score;
use self::site::{Place, Site};
use self::trial::{Known, LIMIT, Line, Trial};
pub use self::verdict::{Told, Verdict};

/// What to try.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Only faults that have this in their name; repeatable
    #[arg(long, value_name = "FAULT")]
    pub only: Vec<String>,
    /// Runs of each fault
    #[arg(long, default_value_t = 12)]
    pub runs: u16,
    /// Where chance begins: the same seed draws the same drivers, places and times
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only those faults that take little time
    #[arg(long)]
    pub quick: bool,
    /// Runs at a time
    #[arg(long, default_value_t = 6)]
    pub jobs: usize,
    /// Writes what was told of each login here, as a line of JSON each
    #[arg(long, value_name = "FILE")]
    pub lines: Option<PathBuf>,
}

/// A run that is to be.
struct Job {
    fault: &'static Fault,
    number: u16,
    place: Place,
}

/// A run that is over: whose logins were what, or why it did not come to that.
pub(crate) struct Ran {
    pub(crate) fault: &'static Fault,
    pub(crate) number: u16,
    pub(crate) known: Vec<Known>,
    pub(crate) failed: Option<String>,
}

/// Whether a driver is missing that it needs; if so, says so, or fails where skipping is a failure.
pub fn missing() -> bool {
    let missing = faults::ALL.iter().filter(|driver| driver.missing());
    missing.count() > 0
}

/// Runs the laboratory, and counts.
pub fn run(options: &Options) -> Result<Score> {
    let jobs = jobs(options);
    ensure!(!jobs.is_empty(), "no fault is called that");
    let site = Site::new(u16::try_from(jobs.len())?)?;
    let watch = site.watch()?;
    let ran = run_all(&site, &jobs, options);
    let seen = watch.stop(LIMIT, |events| verdict::are_all_told(events, &ran))?;
    let verdicts = verdict::all(&ran, &seen, options.seed)?;
    if let Some(path) = &options.lines {
        let lines = verdicts
            .all
            .iter()
            .map(|verdict| verdict.line().to_string());
        std::fs::write(path, lines.collect::<Vec<_>>().join("\n"))?;
    }
    Ok(Score::new(options, &ran, verdicts))
}

/// All runs: the first ones of all faults, then the second ones, and so on.
fn jobs(options: &Options) -> Vec<Job> {
    let wanted = |fault: &&Fault| {
        let named = options.only.is_empty()
            || options
                .only
                .iter()
                .any(|name| fault.name.contains(name.as_str()));
        named && (fault.is_quick || !options.quick)
    };
    let faults: Vec<_> = FAULTS.iter().chain(HEALTHY).filter(wanted).collect();
    let runs =
        (0..options.runs).flat_map(|number| faults.iter().map(move |fault| (*fault, number)));
    (0..)
        .zip(runs)
        .map(|(place, (fault, number))| Job {
            fault,
            number,
            place: Place::new(place),
        })
        .collect()
}

fn run_all(site: &Site, jobs: &[Job], options: &Options) -> Vec<Ran> {
    let (next, ran) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let one = run_one(site, job, options.seed);
                    ran.lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push(one);
                }
            });
        }
    });
    ran.into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn run_one(site: &Site, job: &Job, seed: u64) -> Ran {
    let mut trial = Trial {
        site,
        place: job.place,
        draw: Draw::new(seed, job.fault.name, job.number.into()),
        number: u64::from(job.number) + seed,
        known: Vec::new(),
        resolver: None,
    };
    let failed = (job.fault.provoke)(&mut trial)
        .err()
        .map(|error| format!("{error:#}"));
    Ran {
        fault: job.fault,
        number: job.number,
        known: trial.known,
        failed,
    }
}
