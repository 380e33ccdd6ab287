//! The page of causes, from the same files as the rules.

use std::fs;

use anyhow::{Result, bail};
use clap::Parser;

use crate::process::{cargo, output, root};

const CHECKED_IN: &str = "docs/causes.md";

/// Options of `causes`.
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
    let explain = ["run", "--quiet", "--package", "tracer", "--", "explain"];
    let pages = output(cargo(explain).arg("--all"))?;
    let path = root().join(CHECKED_IN);
    if args.write {
        fs::write(path, pages)?;
    } else if args.check {
        if fs::read_to_string(path).ok().as_deref() != Some(pages.as_str()) {
            bail!("{CHECKED_IN} is not what the causes say; run `cargo xtask causes --write`");
        }
    } else {
        print!("{pages}");
    }
    Ok(())
}
