//! Processor time of the agent for a login. It is counted by the scheduler, over all threads of the agent, its
//! own idling included.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use harness::bench::{Crowd, Watching, median};
use harness::net::Namespace;

use crate::ADDRESS;

const TRIALS: usize = 5;
/// In which the agent comes to rest, and what is due has been told.
const REST: Duration = Duration::from_millis(500);

/// So many logins a second, or as many as go.
struct Load {
    name: &'static str,
    rate: Option<usize>,
    count: usize,
    say: &'static str,
    /// Microseconds.
    aim: f64,
}

const LOADS: [Load; 4] = [
    Load {
        name: "280 logins a second",
        rate: Some(280),
        count: 1120,
        say: "login",
        aim: 40.0,
    },
    Load {
        name: "900 logins a second",
        rate: Some(900),
        count: 3600,
        say: "login",
        aim: 25.0,
    },
    Load {
        name: "logins as fast as they go",
        rate: None,
        count: 20_000,
        say: "login",
        aim: 12.0,
    },
    Load {
        name: "connections with a PRELOGIN as fast as they go",
        rate: None,
        count: 20_000,
        say: "prelogin",
        aim: 12.0,
    },
];

pub(crate) fn measure() -> Result<()> {
    println!("processor time of the agent for a login, medians of {TRIALS} trials:");
    let mut trials = vec![Vec::new(); LOADS.len()];
    let mut rates = vec![Vec::new(); LOADS.len()];
    let mut idle = Vec::new();
    for _ in 0..TRIALS {
        for (place, load) in LOADS.iter().enumerate() {
            let trial = trial(load)?;
            trials[place].push(trial.each);
            rates[place].push(trial.rate);
            idle.push(trial.idle);
        }
    }
    for ((load, trials), rates) in LOADS.iter().zip(&trials).zip(&rates) {
        println!(
            "  {}: {:.1} us at {:.0}/s (aim {:.0}); {trials:.1?}",
            load.name,
            median(trials),
            median(rates),
            load.aim
        );
    }
    println!("  idle: {:.0} us in a second", median(&idle));
    Ok(())
}

struct Trial {
    /// Microseconds for a login.
    each: f64,
    /// Logins a second.
    rate: f64,
    /// Microseconds in a second of rest.
    idle: f64,
}

fn trial(load: &Load) -> Result<Trial> {
    let host = Namespace::new("rate")?;
    let agent = Watching::start(&host, &[])?;
    let _server = Crowd::serve(&host, &[ADDRESS, "--say", load.say])?;
    let connect = |count: &str, rate: &[&str]| -> Result<u64> {
        let fixed = ["connect", ADDRESS, count, "--say", load.say];
        let mut client = Crowd::start(&host, &[&fixed[..], rate].concat())?;
        let [took] = client.figures(["in"])?;
        client.release()?;
        sleep(REST);
        Ok(took)
    };
    connect("100", &[])?;
    let begun = agent.processor()?;
    sleep(Duration::from_secs(1));
    let rested = agent.processor()?;
    let rate = load.rate.map(|rate| rate.to_string());
    let rate: Vec<_> = rate.iter().flat_map(|rate| ["--rate", rate]).collect();
    let took = connect(&load.count.to_string(), &rate)?;
    let done = agent.processor()?;
    agent.stop()?;
    Ok(Trial {
        each: done.saturating_sub(rested).as_secs_f64() * 1e6 / load.count as f64,
        rate: load.count as f64 * 1e9 / took as f64,
        idle: rested.saturating_sub(begun).as_secs_f64() * 1e6,
    })
}
