//! What the kernel keeps for an open connection more where it is watched.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use harness::bench::{Crowd, Watching, median};
use harness::net::Namespace;

use crate::ADDRESS;

/// One process may have 20,000 descriptors here and there.
const CONNECTIONS: f64 = 15_000.0;
const TRIALS: usize = 5;

pub(crate) fn measure() -> Result<()> {
    let mut more = Vec::new();
    for _ in 0..TRIALS {
        let [with, without] = [grown(true)?, grown(false)?];
        more.push((with - without) / CONNECTIONS);
    }
    println!(
        "the kernel's memory for an open connection, both of whose sockets are here, {TRIALS} pairs: {:.0} bytes more \
         where it is watched; {more:.0?}",
        median(&more)
    );
    Ok(())
}

/// By how much the kernel's memory grows with connections, bytes.
fn grown(watched: bool) -> Result<f64> {
    let host = Namespace::new("kept")?;
    let agent = watched.then(|| Watching::start(&host, &[])).transpose()?;
    let _server = Crowd::serve(&host, &[ADDRESS, "--say", "login", "--hold"])?;
    let before = kernel()?;
    let count = CONNECTIONS.to_string();
    let arguments = ["connect", ADDRESS, &count, "--say", "login", "--hold"];
    let mut client = Crowd::start(&host, &arguments)?;
    client.line()?;
    sleep(Duration::from_secs(1));
    let after = kernel()?;
    client.release()?;
    if let Some(agent) = agent {
        agent.stop()?;
    }
    Ok(after - before)
}

/// What the kernel has allocated for itself and cannot give back.
fn kernel() -> Result<f64> {
    let memory = fs::read_to_string("/proc/meminfo")?;
    let mut sum = 0.0;
    for name in ["SUnreclaim:", "Percpu:"] {
        let line = memory.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.context("no figure of memory")?.trim();
        sum += kib.trim_end_matches(" kB").parse::<f64>()? * 1024.0;
    }
    Ok(sum)
}
