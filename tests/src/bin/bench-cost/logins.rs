//! How long logins take, with and without an agent, in pairs that follow each other.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::bench::{Crowd, Watching, at, median, ratio};
use harness::drivers::python;
use harness::net::Namespace;
use harness::peer::{Peer, workspace};
use harness::process::run;

use crate::ADDRESS;

const PAIRS: usize = 14;
/// Logins of the driver in each half of a pair.
const LOGINS: &str = "700";
/// The same without a driver.
const RAW: &str = "6000";
const LIMIT: Duration = Duration::from_mins(5);

/// The middle login, and the one that is slower than 99 of a hundred: microseconds.
type Figures = [f64; 2];

/// Of Microsoft's ODBC driver, inside TLS from PRELOGIN to the end, one after the other.
pub(crate) fn of_a_driver() -> Result<()> {
    let host = Namespace::new("driver")?;
    let server = ["--listen", ADDRESS, "--encrypt", "on"];
    let _server = Peer::scenario(Some(&host), &server)?;
    let logins = || -> Result<Figures> {
        let mut client = host.command(python());
        client.arg(workspace().join("tests/drivers/logins.py"));
        let (status, output) = run(client.args([ADDRESS, LOGINS]), "", LIMIT)?;
        ensure!(status.success(), "{output}");
        let words = output.split_whitespace();
        let each = words
            .map(|word| Ok(word.parse::<f64>()? / 1000.0))
            .collect::<Result<Vec<_>>>()
            .with_context(|| output.clone())?;
        Ok([at(&each, 50), at(&each, 99)])
    };
    let name = format!("{LOGINS} logins of ODBC 18 inside TLS");
    tell(&name, &pairs(&host, logins)?, "aim +1 %, p99 within noise");
    Ok(())
}

/// In clear, by eight threads as fast as it goes.
pub(crate) fn raw() -> Result<()> {
    let host = Namespace::new("raw")?;
    let _server = Crowd::serve(&host, &[ADDRESS, "--say", "login"])?;
    let logins = || -> Result<Figures> {
        let arguments = ["connect", ADDRESS, RAW, "--say", "login"];
        let mut client = Crowd::start(&host, &arguments)?;
        let figures: [u64; 2] = client.figures(["p50", "p99"])?;
        client.release()?;
        Ok(figures.map(|nanos| nanos as f64 / 1000.0))
    };
    let name = format!("{RAW} logins in clear, flat out");
    tell(&name, &pairs(&host, logins)?, "aim +10 %");
    Ok(())
}

/// With and without an agent.
fn pairs(host: &Namespace, logins: impl Fn() -> Result<Figures>) -> Result<Vec<[Figures; 2]>> {
    // What only the first of them pays for.
    logins()?;
    let watched = || -> Result<Figures> {
        let agent = Watching::start(host, &[])?;
        let figures = logins()?;
        agent.stop()?;
        Ok(figures)
    };
    (0..PAIRS)
        .map(|turn| {
            // Who comes first changes, so that what drifts favours none.
            if turn % 2 == 0 {
                let with = watched()?;
                Ok([with, logins()?])
            } else {
                let without = logins()?;
                Ok([watched()?, without])
            }
        })
        .collect()
}

fn tell(name: &str, pairs: &[[Figures; 2]], aim: &str) {
    println!("{name}, {PAIRS} pairs ({aim}):");
    for (place, what) in ["p50", "p99"].iter().enumerate() {
        let of: Vec<_> = pairs
            .iter()
            .map(|pair| pair.map(|half| half[place]))
            .collect();
        let half =
            |watched: usize| median(&of.iter().map(|pair| pair[watched]).collect::<Vec<_>>());
        println!(
            "  {what}: {:.0} us watched, {:.0} without an agent: {}",
            half(0),
            half(1),
            ratio(&of)
        );
    }
}
