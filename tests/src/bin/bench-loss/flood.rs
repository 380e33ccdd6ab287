//! A flood of SYNs against a watched port, and logins among them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use harness::bench::{Crowd, Watching};
use harness::net::{Network, SERVER_V4};
use harness::peer::program;
use serde_json::Value;

/// How long the flood lasts.
const LASTS: Duration = Duration::from_secs(15);
/// Logins in it, spread over it.
const LOGINS: usize = 500;
const RATE: &str = "50";

pub(crate) fn measure() -> Result<()> {
    let network = Network::new()?;
    // What answers a SYN of the flood goes nowhere, and asks nobody the way.
    network
        .server
        .ip(&["route", "add", "blackhole", "10.99.0.0/16"])?;
    let listen = format!("{SERVER_V4}:1433");
    let _server = Crowd::serve(&network.server, &[&listen, "--say", "login"])?;
    let agent = Watching::start(&network.server, &[])?;
    let millis = LASTS.as_millis().to_string();
    let mut flood = network.client.command(program("syn-flood")?);
    flood.args([&listen, "--from", "10.99.0.0", "--millis", &millis]);
    let begun = Instant::now();
    let mut flood = flood.stdout(Stdio::piped()).spawn()?;
    let before = agent.processor()?;
    let count = LOGINS.to_string();
    let arguments = ["connect", &listen, &count, "--say", "login", "--rate", RATE];
    let mut client = Crowd::start(&network.client, &arguments)?;
    let [middle, slow] = client.figures(["p50", "p99"])?;
    client.release()?;
    let mut sent = String::new();
    let output = flood.stdout.as_mut().context("no output")?;
    output.read_to_string(&mut sent)?;
    flood.wait()?;
    let seconds = begun.elapsed().as_secs_f64();
    let sent: f64 = sent.trim().parse()?;
    let (took, [_, most]) = (agent.processor()?.saturating_sub(before), agent.resident()?);
    let said = Said::of(&agent.stop()?)?;
    println!(
        "{:.0} SYNs a second for {seconds:.1} s: {} of {LOGINS} logins told right, each once (p50 {} us, p99 {} us); \
         {} of the flood told, held back {}; other losses {:?}; the agent took {:.1} % of a processor and at most {} MiB",
        sent / seconds,
        said.right,
        middle / 1000,
        slow / 1000,
        said.flood,
        said.held,
        said.losses,
        took.as_secs_f64() / seconds * 100.0,
        most / 1024
    );
    ensure!(
        said.right == LOGINS && said.wrong == 0,
        "{} wrong",
        said.wrong
    );
    Ok(())
}

/// What an agent has said.
#[derive(Default)]
struct Said {
    right: usize,
    wrong: usize,
    flood: usize,
    held: u64,
    losses: BTreeMap<String, u64>,
}

impl Said {
    fn of(lines: &Path) -> Result<Self> {
        let mut said = Self::default();
        for line in BufReader::new(File::open(lines)?).lines() {
            let event: Value = serde_json::from_str(&line?)?;
            match event["event"].as_str() {
                Some("login") if event["process"]["name"] == "crowd" => {
                    let right = event["login"]["outcome"] == "success"
                        && event["connection"]["partial"] == false
                        && event["phases"]["login"]["complete"] == true;
                    said.right += usize::from(right);
                    said.wrong += usize::from(!right);
                }
                Some("login") => said.flood += 1,
                Some("loss") => {
                    let loss = &event["loss"];
                    let count = loss["count"].as_u64().unwrap_or(0);
                    match loss["reason"].as_str().unwrap_or_default() {
                        "syn_held" => said.held += count,
                        reason => *said.losses.entry(reason.to_owned()).or_default() += count,
                    }
                }
                _ => {}
            }
        }
        Ok(said)
    }
}
