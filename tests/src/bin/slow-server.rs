//! A service that a login waits for, and that takes its time: see [`harness::slow`].

use clap::Parser;
use harness::slow::{Options, serve};

fn main() -> anyhow::Result<()> {
    serve(&Options::parse())
}
