//! `tds-tracer replay`.

use std::path::PathBuf;

use clap::Args;

use super::OutputArgs;
use crate::{ports::Ports, replay::ReplayOptions, sink::Overflow};

/// Options of `replay`, as typed.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// Captures: pcap or pcapng, also compressed; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// TCP ports of SQL Server, such as `1433,11000-11999`; may be given more than once. `auto`, and
    /// without it: 1433, and every port on which the first exchange proves to be TDS, or that is
    /// announced
    #[arg(long = "port", value_name = "PORTS")]
    ports: Vec<Ports>,

    /// Look into VXLAN, GENEVE, GRE and IP-in-IP
    #[arg(long)]
    decapsulate: bool,

    #[command(flatten)]
    output: OutputArgs,
}

impl ReplayArgs {
    pub(super) fn meant(self) -> anyhow::Result<ReplayOptions> {
        let Self {
            files,
            ports,
            decapsulate,
            output,
        } = self;
        Ok(ReplayOptions {
            files,
            ports: Ports::all(ports),
            decapsulate,
            output: output.settings(Overflow::Wait)?,
            identities: output.identities()?,
            pending_after: output.pending(),
            incidents: output.incidents(),
        })
    }
}
