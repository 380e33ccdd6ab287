//! What metrics take: to count logins, and to tell by OTLP what was counted.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use harness::bench::median;
use tracer::metrics::Metrics;
use tracer::record::{Body, Record};
use tracer::sink::Receiver;

use crate::speed::otlp;
use crate::takers::{MANY, Taker, free_port};
use crate::told::{Sink, To, login, processor, start};

const TRIALS: usize = 3;
/// To how many servers.
const SERVERS: [u8; 2] = [1, 50];
/// Logins that are counted.
const LOGINS: usize = 40_000;
/// How often they are told: not to wait for a minute.
const INTERVAL: Duration = Duration::from_millis(5);
/// In which they have been told as often as they are counted.
const LIMIT: Duration = Duration::from_mins(2);

/// What one trial took of a processor.
struct Trial {
    /// For a login, microseconds.
    counting: f64,
    /// For all series once, milliseconds.
    telling: f64,
    /// So many are told.
    series: usize,
}

pub(crate) fn measure() -> Result<()> {
    println!("metrics, medians of {TRIALS} trials of {LOGINS} logins and {MANY} messages:");
    for servers in SERVERS {
        let trials = (0..TRIALS).map(|_| trial(servers));
        let trials = trials.collect::<Result<Vec<_>>>()?;
        let series = trials.first().context("no trial")?.series;
        let counting: Vec<_> = trials.iter().map(|trial| trial.counting).collect();
        let telling: Vec<_> = trials.iter().map(|trial| trial.telling).collect();
        println!(
            "  to {servers} servers: {:.2} us to count a login {counting:.2?}, {:.2} ms to tell {series} series \
             {telling:.2?}",
            median(&counting),
            median(&telling)
        );
    }
    Ok(())
}

fn trial(servers: u8) -> Result<Trial> {
    let logins = logins(servers)?;
    let mut metrics = Metrics::new("host");
    let begun = processor();
    for login in logins.iter().cycle().take(LOGINS) {
        metrics.record(login);
    }
    let counted = processor().saturating_sub(begun);
    let figures = metrics.figures();
    let series = figures
        .families()
        .into_iter()
        .map(|family| family.metric.len());
    let series: usize = series.sum();
    ensure!(series < 1_000, "they are told by more than one message");

    let port = free_port()?;
    let mut receiver = otlp(port, false, false, true)?;
    let Receiver::Otlp(otlp) = &mut receiver else {
        unreachable!("it is one of OTLP")
    };
    otlp.metrics = Some(INTERVAL);
    let sink = Sink::open(To::Receiver(&receiver, 1 << 20))?;
    let mut taker = start(Taker::Otlp, port)?.context("nobody takes them")?;
    let begun = processor();
    sink.begin_telling(&figures);
    let told = taker.wait_lines(LIMIT, |lines| !lines.is_empty());
    let told_in = processor().saturating_sub(begun);
    ensure!(told, "{}", taker.errors());
    sink.finish()?;
    Ok(Trial {
        counting: counted.as_secs_f64() * 1e6 / LOGINS as f64,
        telling: told_in.as_secs_f64() * 1e3 / MANY as f64,
        series,
    })
}

/// A recorded login as one to each server, of many durations.
fn logins(servers: u8) -> Result<Vec<Record>> {
    const LONGER: u64 = 20;
    let recorded = login()?;
    let mut logins = Vec::new();
    for server in 0..servers {
        for longer in 1..=LONGER {
            let mut login = recorded.clone();
            let Body::Login(record) = &mut login.body else {
                unreachable!("it is a login")
            };
            let facts = &mut record.facts;
            facts.server.address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, server));
            let phases = &mut facts.phases;
            for phase in [
                &mut phases.handshake,
                &mut phases.prelogin,
                &mut phases.login,
            ] {
                let waited = phase.as_mut().and_then(|phase| phase.waited.as_mut());
                if let Some(waited) = waited {
                    waited.server_ns.0 *= longer * longer;
                }
            }
            if let Some(took) = &mut facts.login.duration_ns {
                took.0 *= longer * longer;
            }
            logins.push(login);
        }
    }
    Ok(logins)
}
