//! The laboratory; see `harness::lab`.

use anyhow::Result;
use clap::Parser;
use harness::lab::{Options, healthy, page, run};
use harness::peer::workspace;

/// Makes faults happen to real drivers, and counts how often the agent's first cause is right.
#[derive(Parser)]
#[command(about)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Makes so many healthy logins in place of faults
    #[arg(long, value_name = "LOGINS")]
    healthy: Option<u64>,
    /// Writes what was counted into docs/accuracy.md
    #[arg(long)]
    write: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(count) = arguments.healthy {
        return well(count, &arguments);
    }
    let score = run(&arguments.options)?;
    print!("{}", page::wrong(&score)?);
    println!("\n{}", page::text(&score)?);
    if arguments.write {
        page::write(&score, &workspace().join("docs/accuracy.md"))?;
    }
    Ok(())
}

/// Lets so many log in to whom nothing happens.
fn well(count: u64, arguments: &Arguments) -> Result<()> {
    let told = healthy::run(count, arguments.options.seed)?;
    if let Some(path) = &arguments.options.lines {
        let alarms = told.by.iter().flat_map(|told| &told.alarms);
        let lines: Vec<_> = alarms.map(ToString::to_string).collect();
        std::fs::write(path, lines.join("\n"))?;
    }
    let text = healthy::text(&told)?;
    println!("{text}");
    if arguments.write {
        page::write_healthy(&text, &workspace().join("docs/accuracy.md"))?;
    }
    Ok(())
}
