//! Everything a developer runs: `cargo xtask COMMAND`.
//!
//! Exit status: 0 when all went well, 1 when something failed, 2 when this machine lacks something
//! that only its owner can give (the message says the command to run).

mod arch;
mod bench;
mod beside;
mod chart;
mod cross;
mod debian;
mod demo;
mod dist;
mod ebpf;
mod eyes;
mod fleet;
mod fuzz;
mod generated;
mod host;
mod lab;
mod lint;
mod netns;
mod peers;
mod process;
mod setup;
mod test;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing on this machine, saying each step; installs nothing the second time
    Setup(setup::Args),
    /// Watch real logins in two network namespaces of their own (root)
    Demo(demo::Args),
    /// Run every check there is and end with a summary: what CI runs
    Test(test::Args),
    /// Try the agent under Debian's 5.10, 6.1 and 6.12 kernels in an emulator
    Vm(vm::Args),
    /// Measure: the kernel programs, replay, or the whole agent under load
    Bench(bench::Args),
    /// Print the JSON Schema of the event stream, or write the checked-in copy
    Schema(generated::Args),
    /// Print the JSON Schema of the configuration, or write the checked-in copy
    ConfigSchema(generated::Args),
    /// Print the page of causes, or write the checked-in copy
    Causes(generated::Args),
    /// Check the Helm chart, and that the plain manifests are what it gives; or write those
    Chart(chart::Args),
    /// Run each fuzz target for a bounded time
    Fuzz(fuzz::Args),
    /// Make faults happen to real drivers, and count how often the agent names the right cause (root)
    Lab(lab::Args),
    /// Write the lines of a fleet that is made up, or load them into ClickHouse and time its questions
    Fleet(fleet::Args),
    /// Compile the kernel programs into the checked-in objects, after every change to them
    Ebpf(ebpf::Args),
    /// Make what is handed out: static binary, packages, image, and what proves them
    Dist(dist::Args),
    /// Install the Debian package in a root of its own, ask it, and purge it again (root)
    InstallTrial(dist::InstallArgs),
    /// Look at reports in a browser, at two widths, light and dark, with scripts and without
    Eyes(eyes::Args),
    /// Check the house rules that no compiler knows
    Lint,
    /// What runs inside the emulator
    #[command(hide = true)]
    VmGuest(vm::guest::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Setup(args) => setup::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Vm(args) => vm::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Schema(args) => generated::run(&generated::SCHEMA, &args),
        Command::ConfigSchema(args) => generated::run(&generated::CONFIG, &args),
        Command::Causes(args) => generated::run(&generated::CAUSES, &args),
        Command::Chart(args) => chart::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Lab(args) => lab::run(&args),
        Command::Fleet(args) => fleet::run(&args),
        Command::Ebpf(args) => ebpf::run(&args),
        Command::Dist(args) => dist::run(&args),
        Command::InstallTrial(args) => dist::install(&args),
        Command::Eyes(args) => eyes::run(&args),
        Command::Lint => lint::run(),
        Command::VmGuest(args) => vm::guest::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            let status = error.downcast_ref::<host::Lacking>().map_or(1, |_| 2);
            ExitCode::from(status)
        }
    }
}
