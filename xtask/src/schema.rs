//! The JSON Schema of the event stream, from the types that are serialised.

use std::fs;

use anyhow::{Result, bail};
use clap::Parser;

use crate::process::{cargo, output, root};

const CHECKED_IN: &str = "docs/schema.json";

/// Options of `schema`.
#[derive(Parser)]
pub(crate) struct Args {
    /// Write the checked-in copy
    #[arg(long, conflicts_with = "check")]
    write: bool,
    /// Fail when the checked-in copy differs
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let schema = output(&mut cargo([
        "run",
        "--quiet",
        "--package",
        "tracer",
        "--",
        "schema",
    ]))?;
    let path = root().join(CHECKED_IN);
    if args.write {
        fs::write(path, schema)?;
    } else if args.check {
        if fs::read_to_string(path).ok().as_deref() != Some(schema.as_str()) {
            bail!("{CHECKED_IN} is not what the types say; run `cargo xtask schema --write`");
        }
    } else {
        print!("{schema}");
    }
    Ok(())
}
