//! What each kind of sink takes of a processor, how fast it goes, and what an outage of an hour takes of memory.

mod figures;
mod login;
mod outage;
mod speed;
mod takers;
mod told;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use mimalloc::MiMalloc;

/// As the agent has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Measures all of it, or what is named.
#[derive(Parser)]
#[command(about)]
struct Args {
    /// What to measure
    #[arg(value_enum)]
    what: Vec<What>,
    /// Of these alone, whose names have that in them
    #[arg(long, default_value = "")]
    only: String,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum What {
    /// Processor time of a whole agent for a login (root)
    Login,
    /// Logins for a second of a processor, as fast as they go
    Speed,
    /// Processor time to count logins, and to tell by OTLP what was counted
    Figures,
    /// Memory while nobody takes what an hour's logins say
    Outage,
}

fn main() -> Result<()> {
    let Args { what, only } = Args::parse();
    for one in What::value_variants() {
        if !what.is_empty() && !what.contains(one) {
            continue;
        }
        match one {
            What::Login => login::measure(&only)?,
            What::Speed => speed::measure(&only)?,
            What::Figures => figures::measure()?,
            What::Outage => outage::measure()?,
        }
    }
    Ok(())
}
