//! Files that are made from the agent's own types and rules, and checked in.

use std::fs;

use anyhow::{Result, bail};
use clap::Parser;

use crate::process::{cargo, output, root};

/// A file, and the command that prints what it holds.
pub(crate) struct Generated {
    path: &'static str,
    program: &'static [&'static str],
    command: &'static [&'static str],
    /// The command here that writes it.
    written_by: &'static str,
}

const AGENT: &[&str] = &["--package", "tracer"];

/// The JSON Schema of the event stream, from its types: the agent has only the checked-in copy.
pub(crate) const SCHEMA: Generated = Generated {
    path: "docs/schema.json",
    program: &["--package", "tds-tracer-tests", "--bin", "schema"],
    command: &[],
    written_by: "schema",
};

/// The JSON Schema of the configuration.
pub(crate) const CONFIG: Generated = Generated {
    path: "docs/config.schema.json",
    program: AGENT,
    command: &["config", "schema"],
    written_by: "config-schema",
};

/// The pages of causes.
pub(crate) const CAUSES: Generated = Generated {
    path: "docs/causes.md",
    program: AGENT,
    command: &["explain", "--all"],
    written_by: "causes",
};

/// Options of the commands that make them.
#[derive(Parser)]
pub(crate) struct Args {
    /// Write the checked-in copy
    #[arg(long, conflicts_with = "check")]
    write: bool,
    /// Fail when the checked-in copy differs
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(file: &Generated, args: &Args) -> Result<()> {
    let mut print = cargo(["run", "--quiet"]);
    let text = output(print.args(file.program).arg("--").args(file.command))?;
    let path = root().join(file.path);
    if args.write {
        fs::write(path, text)?;
    } else if args.check {
        if fs::read_to_string(path).ok().as_deref() != Some(text.as_str()) {
            let Generated {
                path, written_by, ..
            } = file;
            bail!("{path} is not what the sources say; run `cargo xtask {written_by} --write`");
        }
    } else {
        print!("{text}");
    }
    Ok(())
}
