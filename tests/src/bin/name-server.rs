//! A server that says where others are, as told: SQL Browser, or name resolution.

use clap::{Parser, Subcommand};
use harness::names::{browser, dns};

/// Says where others are.
#[derive(Parser)]
#[command(about)]
struct Options {
    #[command(subcommand)]
    service: Service,
}

#[derive(Subcommand)]
enum Service {
    /// SQL Browser (MC-SQLR).
    Browser(browser::Options),
    /// Name resolution (RFC 1035).
    Dns(dns::Options),
}

fn main() -> anyhow::Result<()> {
    match Options::parse().service {
        Service::Browser(options) => browser::serve(&options),
        Service::Dns(options) => dns::serve(&options),
    }
}
