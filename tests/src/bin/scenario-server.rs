//! A TDS server that fails on command; see `harness::server`.

use clap::Parser;
use harness::server::{Scenario, serve};

/// Listens for SQL Server clients and treats them as told.
#[derive(Parser)]
#[command(about)]
struct Options {
    #[command(flatten)]
    scenario: Scenario,
}

fn main() -> anyhow::Result<()> {
    serve(Options::parse().scenario)
}
