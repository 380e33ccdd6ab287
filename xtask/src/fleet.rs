//! The made-up fleet, a program of the tests' package; this builds it and what it needs.

use std::process::Command;

use anyhow::Result;
use clap::Parser;

use crate::{
    process::{cargo, run as run_it, target},
    setup::{self, For},
};

/// Options of `fleet`.
#[derive(Parser)]
pub(crate) struct Args {
    /// Passed on: generate, measure or cluster, with their options; `-- --help` says all
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    setup::ensure(For::Build)?;
    let build = ["build", "--release", "--package", "tds-tracer-tests"];
    run_it(cargo(build).args(["--bin", "fleet"]))?;
    run_it(Command::new(target().join("release/fleet")).args(&args.args))
}
