//! Measurements, each a program of the crate that owns what is measured; this finds and runs them.

use std::process::Command;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{
    host, peers,
    process::{cargo, run as run_it, target},
    setup::{self, For},
};

/// Options of `bench`.
#[derive(Parser)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Nanoseconds per packet class, by `BPF_PROG_TEST_RUN` on the real object (root)
    Kernel(Rest),
    /// Nanoseconds per packet at sockets, on real packets over loopback (root)
    Sockets(Rest),
    /// Packets and bytes per second of `replay`, beside tshark and a bare loop
    Replay(Rest),
    /// Short connections as fast as the machine can, memory, and overload (root)
    Live(Rest),
    /// What watching takes of a processor, and what it costs those that are watched (root)
    Cost(Rest),
    /// What each kind of sink takes of a processor, and of memory through an outage
    Sinks(Rest),
    /// Records and logins that the agent takes on one processor, without a kernel
    Engine(Rest),
    /// Connections, records and SYNs that are more than fit: each told or counted (root)
    Loss(Rest),
    /// How often the outcome of a sealed login is said rightly, by driver and mode (root)
    Accuracy(Rest),
}

/// What follows is the measuring program's own.
#[derive(Parser)]
struct Rest {
    /// Passed on to the measuring program
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Optimised across crates, as the agent that packages carry is.
const PROFILE: &str = "bench";
/// Where cargo puts what is built so.
const BUILT: &str = "release";

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::Kernel(rest) => example("bench-kernel", rest),
        What::Sockets(rest) => example("bench-sockets", rest),
        What::Replay(rest) => program("bench-replay", rest),
        What::Engine(rest) => program("bench-engine", rest),
        What::Live(rest) => with_peers("bench-live", rest),
        What::Cost(rest) => with_peers("bench-cost", rest),
        What::Sinks(rest) => with_peers("bench-sinks", rest),
        What::Loss(rest) => with_peers("bench-loss", rest),
        What::Accuracy(rest) => accuracy(rest),
    }
}

/// Measures programs in the kernel.
fn example(name: &str, rest: &Rest) -> Result<()> {
    host::require_root("this measurement")?;
    measure(&["--example", name], &format!("examples/{name}"), rest)
}

/// Measures what needs neither kernel nor peers.
fn program(name: &str, rest: &Rest) -> Result<()> {
    measure(&["--bin", name], name, rest)
}

/// Measures a running agent, with peers of the tests' package.
fn with_peers(name: &str, rest: &Rest) -> Result<()> {
    host::require_root("this measurement")?;
    measure(&["--bins"], name, rest)
}

/// Builds the agent and what measures it, and runs that.
fn measure(program: &[&str], name: &str, rest: &Rest) -> Result<()> {
    setup::ensure(For::Test)?;
    let packages = ["--package", "tracer", "--package", "tds-tracer-tests"];
    let mut build = cargo(["build", "--profile", PROFILE, "--bin", "tds-tracer"]);
    run_it(build.args(packages).args(program))?;
    run_it(Command::new(target().join(BUILT).join(name)).args(&rest.args))
}

/// Counts what is right, not how fast: with the peers as the tests build them.
fn accuracy(rest: &Rest) -> Result<()> {
    host::require_root("this measurement")?;
    setup::ensure(For::Test)?;
    peers::build_all()?;
    run_it(Command::new(target().join("debug/bench-accuracy")).args(&rest.args))
}
