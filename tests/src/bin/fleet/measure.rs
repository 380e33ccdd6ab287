//! How long each question of the pack takes, and what a fleet's days take on the disk.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use harness::{
    bench::median,
    fleet::{
        Fleet, Plan,
        database::{Database, Parameters, questions},
        multiplied::multiply,
    },
};
use tracer::record::Timestamp;

use crate::Day;

#[derive(Args)]
pub(crate) struct Measure {
    #[command(flatten)]
    day: Day,
    /// Where the database lies; it stays there
    #[arg(long)]
    database: PathBuf,
    /// Attempts to log in that are written and loaded at once
    #[arg(long, default_value_t = 500_000)]
    part: u64,
    /// So many fleets beside each other: what is loaded and copies of it, which the engine makes itself
    #[arg(long, default_value_t = 1)]
    fleets: u64,
    /// So many days of these, likewise
    #[arg(long, default_value_t = 1)]
    days: u64,
    /// Nothing is loaded or copied: the database is there from another run
    #[arg(long, conflicts_with_all = ["fleets", "days"])]
    loaded: bool,
    /// Only questions whose names have this in them
    #[arg(long, default_value = "")]
    only: String,
    /// Of which times they are asked
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "hour,day,all"
    )]
    of: Vec<Span>,
    /// So often each: the middle one is told
    #[arg(long, default_value_t = 1)]
    trials: usize,
    /// No question is waited for longer, in seconds
    #[arg(long, default_value_t = 60)]
    patience: u64,
}

/// Of which time a question is asked.
#[derive(Clone, Copy, ValueEnum)]
enum Span {
    /// The last hour that there is
    Hour,
    /// The last day
    Day,
    /// All that there is
    All,
}

impl Measure {
    /// Loads what is asked for, and times the questions.
    pub(crate) fn run(&self) -> Result<()> {
        let mut database = Database::open(&self.database, true)?;
        if !self.loaded {
            load(self, &mut database)?;
        }
        if (self.fleets, self.days) != (1, 1) {
            let began = Instant::now();
            multiply(&mut database, self.fleets, self.days)?;
            println!("multiplied in {:.0} s", began.elapsed().as_secs_f64());
        }
        settle(&mut database)?;
        print!("{}", database.ask(SIZES, &[], "PrettyCompact")?);
        time(self, &mut database)
    }
}

const SIZES: &str = "SELECT table, sum(rows), formatReadableSize(sum(bytes_on_disk)), \
                     round(sum(bytes_on_disk) / sum(rows), 1), count() AS parts FROM system.parts \
                     WHERE database = 'tds' AND active GROUP BY table ORDER BY table";

/// Loads the day part by part, so that no more than a part's lines lie on the disk at a time.
fn load(measure: &Measure, database: &mut Database) -> Result<()> {
    let Measure { day, part, .. } = measure;
    if *part == 0 || day.logins < *part || !day.logins.is_multiple_of(*part) {
        bail!("--logins is no multiple of --part");
    }
    let parts = day.logins / part;
    let lines = measure.database.with_extension("jsonl");
    let (mut wrote, mut loaded, mut bytes) = (0.0, 0.0, 0);
    for number in 0..parts {
        let minutes = day.minutes / parts;
        let plan = Plan {
            logins: *part,
            minutes,
            day: Timestamp((day.first + number * minutes * 60) * 1_000_000_000),
            seed: day.seed + number,
            quiet: false,
        };
        let began = Instant::now();
        write(plan, &lines)?;
        wrote += began.elapsed().as_secs_f64();
        bytes += fs::metadata(&lines)?.len();
        let began = Instant::now();
        database.load(&lines)?;
        loaded += began.elapsed().as_secs_f64();
        eprintln!("{} of {} attempts", (number + 1) * part, day.logins);
    }
    fs::remove_file(lines)?;
    let began = Instant::now();
    database.count_minutes()?;
    let counted = began.elapsed().as_secs_f64();
    println!(
        "written in {wrote:.0} s, loaded in {loaded:.0} s, counted by the minute in {counted:.0} s"
    );
    println!("{} MB of lines", bytes / 1_000_000);
    Ok(())
}

fn write(plan: Plan, lines: &Path) -> Result<()> {
    let out = BufWriter::with_capacity(1 << 20, File::create(lines)?);
    Fleet::new(plan, out).write().map(drop)
}

/// Waits until the engine has merged what it would have merged long ago.
fn settle(database: &mut Database) -> Result<()> {
    const MERGES: &str = "SELECT count() FROM system.merges";
    let began = Instant::now();
    while database.ask(MERGES, &[], "TSV")?.trim() != "0" {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    println!("merged in {:.0} s more", began.elapsed().as_secs_f64());
    Ok(())
}

fn time(measure: &Measure, database: &mut Database) -> Result<()> {
    let bounds = database.ask(
        "SELECT toString(toDateTime(min(start))), toString(toDateTime(max(start)) + 1), \
         toString(toDateTime(max(start)) - 86400), toString(toDateTime(max(start)) - 3600) FROM tds.logins",
        &[],
        "TSV",
    )?;
    let [from, until, day, hour] = bounds.trim().split('\t').collect::<Vec<_>>()[..] else {
        bail!("no logins");
    };
    // Of one query; a fleet's database has other work too.
    database.run("SET max_memory_usage = 8000000000")?;
    database.run(&format!("SET max_execution_time = {}", measure.patience))?;
    let asked: Vec<_> = measure
        .of
        .iter()
        .map(|span| match span {
            Span::Hour => hour,
            Span::Day => day,
            Span::All => from,
        })
        .collect();
    println!(
        "seconds, and those of processors, medians of {}, from {} until {until}",
        measure.trials,
        asked.join(", ")
    );
    for question in questions()? {
        if !question.name.contains(&measure.only) {
            continue;
        }
        for from in &asked {
            let mut parameters = vec![("from", *from), ("until", until)];
            for (name, value) in [("at", hour), ("connection", "0123456789abcdef")] {
                if question.sql.contains(&format!("{{{name}:")) {
                    parameters.push((name, value));
                }
            }
            print!("{} ", timed(measure, database, &question.sql, &parameters)?);
        }
        println!("{}", question.name);
    }
    Ok(())
}

/// Seconds until a question is answered, and of processors for it: the latter say more on a machine that does other things.
fn timed(
    measure: &Measure,
    database: &mut Database,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<String> {
    let (mut took, mut spent) = (Vec::new(), Vec::new());
    for _ in 0..measure.trials {
        let (began, before) = (Instant::now(), database.processor()?);
        let answer = database.ask(sql, parameters, "Null");
        took.push(began.elapsed().as_secs_f64());
        spent.push(database.processor()?.saturating_sub(before).as_secs_f64());
        let Err(why) = answer else { continue };
        let why = why.to_string();
        let patience = measure.patience;
        return match () {
            () if why.contains("TIMEOUT_EXCEEDED") => Ok(format!(">{patience:6}       ")),
            () if why.contains("MEMORY_LIMIT_EXCEEDED") => Ok(" memory       ".to_owned()),
            () => bail!("{why}"),
        };
    }
    Ok(format!("{:7.2} {:6.2}", median(&took), median(&spent)))
}
