//! A fleet that is made up, and ClickHouse with its lines: `cargo xtask fleet`.

use std::{
    fs,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use harness::fleet::{
    Fleet, Plan,
    boards::{answered, clickhouse::ClickHouse, draw, prometheus::Prometheus},
    cluster,
    database::{Database, handed_out, questions, schema},
};
use tracer::record::Timestamp;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A day of the fleet as NDJSON on standard output; what truly happened goes to standard error
    Generate(Day),
    /// Load a day into a database and time every question of the pack
    Measure(Measure),
    /// Draw every panel of the dashboards, with an hour's answers of ClickHouse and Prometheus, as pages
    Boards {
        /// Where the pages are written
        folder: PathBuf,
    },
    /// Print the cluster's schema, or write the checked-in copy
    Cluster {
        /// Write the checked-in copy
        #[arg(long)]
        write: bool,
    },
}

#[derive(Args, Clone, Copy)]
struct Day {
    /// Attempts to log in
    #[arg(long, default_value_t = 100_000)]
    logins: u64,
    /// The day's length in minutes
    #[arg(long, default_value_t = 1440)]
    minutes: u64,
    /// Its first second, since 1970
    #[arg(long = "day", default_value_t = 1_795_392_000)]
    first: u64,
    /// Another one is another day of the same fleet
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct Measure {
    #[command(flatten)]
    day: Day,
    /// Where the database lies; it stays there
    #[arg(long)]
    database: PathBuf,
    /// Attempts to log in that are written and loaded at once
    #[arg(long, default_value_t = 500_000)]
    part: u64,
}

impl Day {
    const fn plan(self) -> Plan {
        Plan {
            logins: self.logins,
            minutes: self.minutes,
            day: Timestamp(self.first * 1_000_000_000),
            seed: self.seed,
            quiet: false,
        }
    }
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Generate(day) => {
            let out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
            let truth = Fleet::new(day.plan(), out).write()?;
            eprintln!("{truth:#?}");
        }
        Command::Measure(measure) => time(&measure)?,
        Command::Boards { folder } => boards(&folder)?,
        Command::Cluster { write } => {
            let made = cluster::schema(&schema()?)?;
            if write {
                fs::write(handed_out().join("cluster.sql"), made)?;
            } else {
                io::stdout().write_all(made.as_bytes())?;
            }
        }
    }
    Ok(())
}

/// Loads the day part by part, so that no more than a part's lines lie on the disk at a time.
fn time(measure: &Measure) -> Result<()> {
    let Measure { day, part, .. } = measure;
    if *part == 0 || day.logins < *part || !day.logins.is_multiple_of(*part) {
        bail!("--logins is no multiple of --part");
    }
    let parts = day.logins / part;
    let mut database = Database::open(&measure.database, true)?;
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
        Fleet::new(
            plan,
            BufWriter::with_capacity(1 << 20, fs::File::create(&lines)?),
        )
        .write()?;
        wrote += began.elapsed().as_secs_f64();
        bytes += fs::metadata(&lines)?.len();
        let began = Instant::now();
        database.load(&lines)?;
        loaded += began.elapsed().as_secs_f64();
        println!("{} of {} attempts", (number + 1) * part, day.logins);
    }
    fs::remove_file(lines)?;
    let began = Instant::now();
    database.count_minutes()?;
    let counted = began.elapsed().as_secs_f64();
    println!(
        "written in {wrote:.0} s, loaded in {loaded:.0} s, counted by the minute in {counted:.0} s"
    );
    println!("{} MB of lines", bytes / 1_000_000);
    let sizes = "SELECT table, sum(rows), formatReadableSize(sum(bytes_on_disk)), \
                 round(sum(bytes_on_disk) / sum(rows), 1) FROM system.parts \
                 WHERE database = 'tds' AND active GROUP BY table ORDER BY table";
    print!("{}", database.ask(sizes, &[], "PrettyCompact")?);
    let bounds = database.ask(
        "SELECT toString(toDateTime(min(start))), toString(toDateTime(max(start)) + 1), \
         toString(toDateTime(max(start)) - 3600) FROM tds.logins",
        &[],
        "TSV",
    )?;
    let [from, until, hour] = bounds.trim().split('\t').collect::<Vec<_>>()[..] else {
        bail!("no logins");
    };
    println!("seconds for the last hour, and for all of {from} to {until}");
    for question in questions()? {
        let seconds = [hour, from].map(|from| {
            let mut parameters = vec![("from", from), ("until", until)];
            for (name, value) in [("at", hour), ("connection", "0123456789abcdef")] {
                if question.sql.contains(&format!("{{{name}:")) {
                    parameters.push((name, value));
                }
            }
            let began = Instant::now();
            let answer = database.ask(&question.sql, &parameters, "Null");
            answer.map(|_| began.elapsed().as_secs_f64())
        });
        let [hour, all] = seconds;
        println!("{:8.2} {:8.2} {}", hour?, all?, question.name);
    }
    Ok(())
}

/// Draws the dashboards of both engines there.
fn boards(folder: &Path) -> Result<()> {
    // Engines begin with nothing.
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let mut prometheus = Prometheus::with_the_hour(folder)?;
    let mut boards = answered(&mut prometheus)?;
    prometheus.stop()?;
    boards.extend(answered(&mut ClickHouse::with_the_hour(folder)?)?);
    for page in draw(&boards, folder)? {
        println!("{}", page.display());
    }
    Ok(())
}
