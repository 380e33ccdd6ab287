//! Round trips on a connection that has logged in, both of whose ends share a processor.

use anyhow::Result;
use harness::bench::{Crowd, Watching, median, ratio};
use harness::net::Namespace;

use crate::ADDRESS;

const TRIALS: usize = 15;
const COUNT: &str = "20000";
/// Both ends ask and answer requests of TDS.
const ENDS: [&str; 4] = ["--say", "login", "--cpu", "0"];

pub(crate) fn measure() -> Result<()> {
    let mut pairs = Vec::new();
    for turn in 0..TRIALS {
        // Who comes first changes, so that what drifts favours none.
        let (one, other) = (trial(turn % 2 == 0)?, trial(turn % 2 != 0)?);
        pairs.push(if turn % 2 == 0 {
            [one, other]
        } else {
            [other, one]
        });
    }
    let of = |place: usize| median(&pairs.iter().map(|pair| pair[place]).collect::<Vec<_>>());
    println!(
        "round trip, {TRIALS} pairs: {:.2} us watched, {:.2} without an agent: {} (aim +7 %)",
        of(0),
        of(1),
        ratio(&pairs)
    );
    Ok(())
}

/// Microseconds of the middle round trip.
fn trial(watched: bool) -> Result<f64> {
    let host = Namespace::new("ping")?;
    let agent = watched.then(|| Watching::start(&host, &[])).transpose()?;
    let _server = Crowd::serve(&host, &[&[ADDRESS][..], &ENDS].concat())?;
    let mut client = Crowd::start(&host, &[&["ping", ADDRESS, COUNT][..], &ENDS].concat())?;
    let [middle] = client.figures(["p50"])?;
    client.release()?;
    if let Some(agent) = agent {
        agent.stop()?;
    }
    Ok(middle as f64 / 1000.0)
}
