//! Many connections to one server; see `harness::crowd`.

use clap::Parser;
use harness::crowd::{Connect, Ping, Serve};

/// Both ends of many connections.
#[derive(Parser)]
#[command(about)]
enum Role {
    /// Answers whoever connects
    Serve(Serve),
    /// Makes connections
    Connect(Connect),
    /// Asks on one connection, again and again
    Ping(Ping),
}

fn main() -> anyhow::Result<()> {
    match Role::parse() {
        Role::Serve(serve) => serve.run(),
        Role::Connect(connect) => connect.run(),
        Role::Ping(ping) => ping.run(),
    }
}
