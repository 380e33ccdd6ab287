//! A fleet that is made up, and ClickHouse with its lines: `cargo xtask fleet`.

mod measure;

use std::{
    fs,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use harness::fleet::{
    Fleet, Plan,
    boards::{answered, clickhouse::ClickHouse, draw, prometheus::Prometheus},
    cluster,
    database::{handed_out, schema},
};
use tracer::record::Timestamp;

use measure::Measure;

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
        Command::Measure(measure) => measure.run()?,
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
