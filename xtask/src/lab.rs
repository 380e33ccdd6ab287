//! The laboratory of faults, a program of the tests' package; this builds it and what it needs.

use std::process::Command;

use anyhow::Result;
use clap::Parser;

use crate::{
    host, peers,
    process::{run as run_it, target},
    setup::{self, For},
};

/// Options of `lab`.
#[derive(Parser)]
pub(crate) struct Args {
    /// Passed on to the laboratory: --only FAULT, --runs N, --seed S, --quick, --write; `-- --help` says all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    host::require_root("the laboratory")?;
    setup::ensure(For::Test)?;
    peers::build_all()?;
    run_it(Command::new(target().join("debug/lab")).args(&args.args))
}
