//! A name server that one run's clients ask, instead of knowing the servers' names.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::net::Namespace;
use crate::peer::Peer;

/// A name server, and what its clients know of it.
pub(crate) struct Resolver {
    file: PathBuf,
    _server: Peer,
}

impl Resolver {
    /// Starts one on a host, at an address, by which these names have another one, with whatever else it is told.
    pub(crate) fn new(
        (host, address): (&Namespace, Ipv4Addr),
        (names, told): (&[String], Ipv4Addr),
        words: &str,
        options: &[&str],
    ) -> Result<Self> {
        let listen = format!("{address}:53");
        let known: Vec<_> = names.iter().map(|name| format!("{name}={told}")).collect();
        let known = known.iter().flat_map(|known| ["--host", known]);
        let arguments = ["dns", "--listen", &listen].into_iter();
        let arguments: Vec<_> = arguments
            .chain(options.iter().copied())
            .chain(known)
            .collect();
        let server = Peer::names(host, &arguments)?;
        let name = format!("tds-tracer-lab-{}.{address}.resolv", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, format!("nameserver {address}\n{words}\n"))?;
        Ok(Self {
            file,
            _server: server,
        })
    }

    /// What its clients have as `resolv.conf(5)`.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        // In a temporary directory, where what is left behind does no harm.
        std::fs::remove_file(&self.file).ok();
    }
}
