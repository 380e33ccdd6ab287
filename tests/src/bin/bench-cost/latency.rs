//! From the packet that decides a login to its line, in who reads the agent's output.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::bench::{self, Crowd, at};
use harness::net::Namespace;
use jiff::Timestamp;
use serde_json::Value;

use crate::ADDRESS;

/// How long the start may take, and a login's line.
const LIMIT: Duration = Duration::from_mins(1);

pub(crate) fn measure() -> Result<()> {
    println!("from the packet that decides a login to its line, aim 5 ms:");
    for (name, rate, count) in [("idle", "4", 60), ("900 a second", "900", 3600)] {
        let late = lines(rate, count)?;
        println!(
            "  {name}: p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms of {count}",
            at(&late, 50),
            at(&late, 99),
            at(&late, 100)
        );
    }
    Ok(())
}

/// How late the line of each login was, milliseconds.
fn lines(rate: &str, count: usize) -> Result<Vec<f64>> {
    let host = Namespace::new("late")?;
    let mut agent = bench::command(&host, &[])?.stdout(Stdio::piped()).spawn()?;
    let output = BufReader::new(agent.stdout.take().context("no output")?);
    let (sender, receiver) = channel();
    let reader = thread::spawn(move || -> Result<()> {
        for line in output.lines() {
            let (line, read) = (line?, Timestamp::now());
            if sender.send((line, read)).is_err() {
                break;
            }
        }
        Ok(())
    });
    next(&receiver, |event| event["agent"]["action"] == "start")?;
    let _server = Crowd::serve(&host, &[ADDRESS, "--say", "login"])?;
    let count_text = count.to_string();
    let arguments = ["connect", ADDRESS, &count_text, "--say", "login", "--rate"];
    let mut client = Crowd::start(&host, &[&arguments[..], &[rate]].concat())?;
    let mut late = Vec::new();
    while late.len() < count {
        let (event, read) = next(&receiver, |event| event["event"] == "login")?;
        ensure!(event["login"]["outcome"] == "success", "{event:#}");
        let moment = event["timestamp"].as_str().context("no time")?;
        let moment: Timestamp = moment.parse()?;
        late.push(read.duration_since(moment).as_secs_f64() * 1000.0);
    }
    client.line()?;
    bench::signal(agent.id(), "TERM")?;
    agent.wait()?;
    reader
        .join()
        .map_err(|_panic| anyhow::anyhow!("the reader panicked"))??;
    Ok(late)
}

/// The next event of a kind, and when it was read.
fn next(
    lines: &Receiver<(String, Timestamp)>,
    wanted: impl Fn(&Value) -> bool,
) -> Result<(Value, Timestamp)> {
    loop {
        let (line, read) = lines.recv_timeout(LIMIT)?;
        let event: Value = serde_json::from_str(&line)?;
        if wanted(&event) {
            return Ok((event, read));
        }
    }
}
