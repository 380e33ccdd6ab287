//! The laboratory; see `harness::lab`.

use anyhow::Result;
use clap::Parser;
use harness::lab::{Options, page, run};
use harness::peer::workspace;

/// Makes faults happen to real drivers, and counts how often the agent's first cause is right.
#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Writes what was counted into docs/accuracy.md
    #[arg(long)]
    write: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let score = run(&arguments.options)?;
    print!("{}", page::wrong(&score)?);
    println!("\n{}", page::text(&score)?);
    if arguments.write {
        page::write(&score, &workspace().join("docs/accuracy.md"))?;
    }
    Ok(())
}
