//! What it costs to be watched, and what watching costs: each figure beside what it is to be. Needs root.

mod latency;
mod logins;
mod memory;
mod rates;
mod round_trip;
mod top;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, ValueEnum};

/// Where the servers listen.
const ADDRESS: &str = "127.0.0.1:1433";

/// Measures all of it, or what is named.
#[derive(Parser)]
#[command(about)]
struct Args {
    /// What to measure
    #[arg(value_enum)]
    what: Vec<What>,
    /// Another build of the agent, whose `top` is measured in turn with this one's
    #[arg(long, value_name = "PROGRAM")]
    beside: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum What {
    /// Processor time of the agent for a login, at several rates
    Rates,
    /// Round trips on an open connection, with and without an agent
    RoundTrip,
    /// Logins of a real driver inside TLS, with and without an agent
    Driver,
    /// Logins in clear as fast as they go, with and without an agent
    Raw,
    /// From a packet to its line
    Latency,
    /// The kernel's memory for an open connection
    Memory,
    /// Processor time of `top` beside a stream of lines
    Top,
}

fn main() -> Result<()> {
    let Args { what, beside } = Args::parse();
    for one in What::value_variants() {
        if !what.is_empty() && !what.contains(one) {
            continue;
        }
        match one {
            What::Rates => rates::measure()?,
            What::RoundTrip => round_trip::measure()?,
            What::Driver => logins::of_a_driver()?,
            What::Raw => logins::raw()?,
            What::Latency => latency::measure()?,
            What::Memory => memory::measure()?,
            What::Top => top::measure(beside.as_deref())?,
        }
    }
    Ok(())
}
