//! More than fits: connections whose records do not, and SYNs. Each is told or counted, and figures are of how
//! many. Needs root.

mod flood;
mod start;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use harness::accounts::Trial;

/// Of each of the two clients: 100,000 connections in all.
const PARTS: [u16; 3] = [20_000, 10_000, 20_000];

/// Tries all of it, or what is named.
#[derive(Parser)]
#[command(about)]
struct Args {
    /// What to try
    #[arg(value_enum)]
    what: Vec<What>,
    /// Processes that are there at the start; fewer where this machine has no ids for more (`kernel.pid_max`)
    #[arg(long, default_value_t = 50_000)]
    processes: usize,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum What {
    /// 100,000 connections, a ring of 64 KiB, an agent that is stopped meanwhile, a flood beside them
    Connections,
    /// SYNs as fast as this machine makes them, and logins among them
    Flood,
    /// A start on a host with many processes and 100,000 sockets
    Start,
}

fn main() -> Result<()> {
    let Args { what, processes } = Args::parse();
    let wanted = |one| what.is_empty() || what.contains(&one);
    if wanted(What::Connections) {
        connections("ring as it is", &[], false)?;
        connections(
            "64 KiB ring, beside a flood",
            &["--ring-bytes", "65536"],
            true,
        )?;
    }
    if wanted(What::Flood) {
        flood::measure()?;
    }
    if wanted(What::Start) {
        start::measure(processes)?;
    }
    Ok(())
}

fn connections(name: &str, options: &[&str], flood: bool) -> Result<()> {
    let parts = PARTS;
    let trial = Trial {
        parts,
        options,
        flood,
    };
    let (accounts, rate) = trial.run()?;
    println!("{name}, agent stopped meanwhile: {accounts}; {rate:.0} a second");
    let complaints = accounts.complaints();
    ensure!(
        complaints.is_empty(),
        "{complaints:?}: {:#?}",
        accounts.kept
    );
    Ok(())
}
