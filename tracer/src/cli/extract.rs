//! `tds-tracer extract`.

use std::path::PathBuf;

use clap::Args;

use super::values;
use crate::{
    extract::{ExtractOptions, Wanted},
    ports::Ports,
    record::{ConnectionId, Nanos, Outcome},
};

/// Options of `extract`, as typed.
#[derive(Clone, Debug, Args)]
pub struct ExtractArgs {
    /// Captures: pcap or pcapng, also compressed
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The connection with this id, as the lines have it; may be given more than once
    #[arg(long, value_name = "ID", value_delimiter = ',', value_parser = values::connection)]
    connection: Vec<ConnectionId>,

    /// Connections whose login took longer, such as `250ms` or `2s`
    #[arg(long, value_name = "TIME", value_parser = values::milliseconds)]
    login_slower: Option<Nanos>,

    /// Connections whose login ended so, such as `failed,timeout`
    #[arg(long, value_name = "OUTCOME", value_delimiter = ',', value_parser = values::outcome)]
    outcome: Vec<Outcome>,

    /// TCP ports of SQL Server, as of `replay`
    #[arg(long = "port", value_name = "PORTS")]
    ports: Vec<Ports>,

    /// Look into VXLAN, GENEVE, GRE and IP-in-IP; what is inside is written without them
    #[arg(long)]
    decapsulate: bool,

    /// Write to a file instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl ExtractArgs {
    pub(super) fn meant(self) -> anyhow::Result<ExtractOptions> {
        let Self {
            files,
            connection,
            login_slower,
            outcome,
            ports,
            decapsulate,
            output,
        } = self;
        if connection.is_empty() && login_slower.is_none() && outcome.is_empty() {
            anyhow::bail!("say which connections: --connection, --login-slower or --outcome");
        }
        Ok(ExtractOptions {
            files,
            wanted: Wanted {
                connections: connection,
                slower: login_slower.map(|time| time.0),
                outcomes: outcome,
            },
            ports: Ports::all(ports),
            decapsulate,
            output,
        })
    }
}
