//! Live measurements: short connections, at a rate and as fast as the machine can, each told once or counted, and the
//! agent's memory with many open ones. What does not fit is `bench-loss`'s to try. Needs root.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::accounts::{Accounts, Made};
use harness::bench::{Crowd, Watching};
use harness::net::Namespace;

const PORT: u16 = 1433;
/// Connections that are told once each, and the first port that they come from.
const SHORT: u16 = 20_000;
const FIRST: u16 = 2000;
/// So many a second leave the agent time for each.
const EASY: u32 = 5_000;
/// One process may have 20,000 descriptors here and there: connections are shared among several.
const PER_PROCESS: usize = 12_500;

fn main() -> Result<()> {
    short_connections(Some(EASY))?;
    short_connections(None)?;
    println!("agent's memory: {}", memory(50_000, &[])?);
    println!(
        "with pooled connections: {}",
        memory(100_000, &["--say", "login"])?
    );
    Ok(())
}

/// Connections of which each is told once, or counted as lost; none is lost at a rate that is given.
fn short_connections(rate: Option<u32>) -> Result<()> {
    let host = Namespace::new("live")?;
    let agent = Watching::start(&host, &[])?;
    let address = format!("127.0.0.1:{PORT}");
    let _server = Crowd::serve(&host, &[&address])?;
    let (count, first) = (SHORT.to_string(), FIRST.to_string());
    let mut arguments = vec!["connect", &address, &count, "--from-port", &first];
    let often = rate.map(|rate| rate.to_string());
    arguments.extend(often.iter().flat_map(|rate| ["--rate", rate]));
    let mut client = Crowd::start(&host, &arguments)?;
    let [took] = client.figures(["in"])?;
    client.release()?;
    let made = Made {
        from: [127, 0, 0, 1].into(),
        first: FIRST,
        count: SHORT,
    };
    let accounts = Accounts::of(&agent.stop()?, &[made], [10, 99])?;
    let reached = f64::from(SHORT) * 1e9 / took as f64;
    println!("short connections, {reached:.0} a second: {accounts}");
    let complaints = accounts.complaints();
    ensure!(
        complaints.is_empty(),
        "{complaints:?}: {:#?}",
        accounts.kept
    );
    ensure!(
        rate.is_none() || accounts.whole == accounts.made,
        "not one login and one close each"
    );
    ensure!(
        rate.is_none() || accounts.attempts == accounts.made,
        "not one attempt each"
    );
    Ok(())
}

/// Resident memory of the agent, before and with so many open connections.
fn memory(count: usize, say: &[&str]) -> Result<String> {
    let host = Namespace::new("many")?;
    let agent = Watching::start(&host, &["--max-flows", "131072"])?;
    let [before, _] = agent.resident()?;
    let mut peers = Vec::new();
    let options = [&["--hold"][..], say].concat();
    for index in 0..count.div_ceil(PER_PROCESS) {
        let address = format!("127.0.0.{}:{PORT}", index + 1);
        peers.push(Crowd::serve(
            &host,
            &[&[&address[..]], &options[..]].concat(),
        )?);
        let many = PER_PROCESS.to_string();
        let arguments = [&["connect", &address, &many][..], &options].concat();
        let mut client = Crowd::start(&host, &arguments)?;
        client.line()?;
        peers.push(client);
    }
    thread::sleep(Duration::from_secs(2));
    let [with, _] = agent.resident()?;
    drop(peers);
    agent.stop()?;
    Ok(format!(
        "{before} KiB without a connection, {with} KiB with {count} open"
    ))
}
