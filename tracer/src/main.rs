//! The agent's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    tracer::cli::main()
}
