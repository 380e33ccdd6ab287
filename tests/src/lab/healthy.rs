//! Healthy logins by the thousand: at servers near and far, alone and in bursts, while the machine has time and while
//! it has none. None of them may be told a cause as more likely than not.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::draw::Draw;
use super::site::{Place, Site};
use super::trial::{LIMIT, Trial};
use super::verdict::{SLOW, told};
use crate::drivers::{Driver, Errand};
use crate::lab::client::Client;

/// Servers, each with clients of its own.
const PLACES: u16 = 5;
/// How much further away each server is than the one before, milliseconds.
const FURTHER: u64 = 9;
/// Drivers that log in many times in one process.
const OFTEN: [Driver; 4] = [
    Driver::Pymssql,
    Driver::PythonTds,
    Driver::Odbc,
    Driver::FreetdsOdbc,
];
/// Drivers that log in once.
const ONCE: [Driver; 3] = [Driver::Tsql, Driver::MssqlTds, Driver::Tiberius];
/// How long the machine is kept busy, and left alone after that.
const BUSY: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(6)];

/// What was told of logins that went well.
#[derive(Clone, Debug, Default)]
pub struct Healthy {
    /// Where chance began.
    pub seed: u64,
    /// By who watched: at the clients' sockets, at their interface, at the servers' sockets.
    pub by: [Told; 3],
    /// Logins that failed, and so were not healthy.
    pub failed: usize,
    /// How many of them each driver made.
    pub drivers: BTreeMap<String, u64>,
}

/// What one agent has told of them.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Logins of less than a second.
    pub quick: usize,
    /// Logins that took longer.
    pub slow: usize,
    /// Lines of quick logins that were told a cause as more likely than not.
    pub alarms: Vec<Value>,
    /// What slow ones were told first, as more likely than not.
    pub causes: BTreeMap<String, usize>,
}

/// Makes so many, and counts what is told of them.
pub fn run(count: u64, seed: u64) -> Result<Healthy> {
    let site = Site::new(PLACES)?;
    let watch = site.watch()?;
    let (made, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let drivers = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        let places = (0..PLACES).map(|place| {
            let (site, made, drivers) = (&site, &made, &drivers);
            scope.spawn(move || at_place(site, (place, seed), (count, made), drivers))
        });
        let places: Vec<_> = places.collect();
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| keep_busy(&over));
        }
        let ended = places
            .into_iter()
            .map(|place| place.join().unwrap_or_else(|_panic| Ok(())));
        let ended: Vec<_> = ended.collect();
        over.store(true, Ordering::Relaxed);
        ended.into_iter().collect::<Result<()>>()
    })?;
    let drivers = drivers.into_inner().unwrap_or_else(PoisonError::into_inner);
    let all = drivers.values().sum::<u64>() as usize;
    let watched = watch.stop(LIMIT, |events| logins(events).count() >= all)?;
    let agents = [
        &watched.at_sockets,
        &watched.at_interfaces,
        &watched.at_servers,
    ];
    let failed = logins(&watched.at_sockets).filter(|line| !is_good(line));
    Ok(Healthy {
        seed,
        failed: failed.count(),
        by: agents.map(|events| Told::of(events)),
        drivers,
    })
}

/// Clients of one server log in until there are enough.
fn at_place(
    site: &Site,
    (place, seed): (u16, u64),
    (count, made): (u64, &AtomicU64),
    drivers: &Mutex<BTreeMap<String, u64>>,
) -> Result<()> {
    let mut trial = Trial {
        site,
        place: Place::new(place),
        draw: Draw::new(seed, "healthy", place.into()),
        number: 0,
        known: Vec::new(),
        resolver: None,
    };
    let _far = match place {
        0 => None,
        _ => Some(site.pass(trial.place, &format!("none={}", FURTHER * u64::from(place)))?),
    };
    let _server = trial.server(&[])?;
    while made.load(Ordering::Relaxed) < count {
        let at_once = if trial.draw.percent(20) {
            trial.draw.number(3..=6)
        } else {
            1
        };
        let clients: Result<Vec<_>> = (0..at_once).map(|_| client(&mut trial)).collect();
        for (driver, times, client) in clients? {
            let fared = client.fares_within(2 * LIMIT)?;
            ensure!(fared.ok, "{driver:?} failed: {}", fared.output);
            made.fetch_add(times, Ordering::Relaxed);
            let mut drivers = drivers.lock().unwrap_or_else(PoisonError::into_inner);
            *drivers.entry(format!("{driver:?}")).or_default() += times;
        }
    }
    Ok(())
}

/// A client, and how often it logs in.
fn client(trial: &mut Trial<'_>) -> Result<(Driver, u64, Client)> {
    let often = trial.draw.percent(60);
    let driver = trial.draw.one(if often { &OFTEN[..] } else { &ONCE });
    let mut login = trial.login(driver);
    login.timeout = 60;
    login.times = if often { trial.draw.number(10..=60) } else { 1 };
    if often && trial.draw.percent(20) {
        login.errand = Errand::Leave;
    }
    Ok((driver, login.times, trial.start(driver, &login)?))
}

/// Takes a processor, and leaves it alone, in turns.
fn keep_busy(over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let [busy, idle] = BUSY;
        let end = Instant::now() + busy;
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        std::thread::sleep(idle);
    }
}

fn logins(events: &[Value]) -> impl Iterator<Item = &Value> {
    events.iter().filter(|line| line["event"] == "login")
}

fn is_good(line: &Value) -> bool {
    line["login"]["outcome"] == "success"
}

impl Told {
    fn of(events: &[Value]) -> Self {
        let mut all = Self::default();
        for line in logins(events).filter(|line| is_good(line)) {
            let is_slow = line["login"]["duration_ns"].as_u64() >= Some(SLOW);
            *(if is_slow {
                &mut all.slow
            } else {
                &mut all.quick
            }) += 1;
            let likely = told(line).into_iter().find(|cause| cause.confidence > 0.5);
            match likely {
                Some(cause) if is_slow => *all.causes.entry(cause.cause).or_default() += 1,
                Some(_) => all.alarms.push(line.clone()),
                None => {}
            }
        }
        all
    }
}

/// It in Markdown.
pub fn text(healthy: &Healthy) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let made: u64 = healthy.drivers.values().sum();
    let drivers: Vec<_> = healthy
        .drivers
        .iter()
        .map(|(driver, count)| format!("{driver} {count}"))
        .collect();
    writeln!(
        text,
        "Seed {}: {made} healthy logins ({}), of which {} failed for want of time.\n",
        healthy.seed,
        drivers.join(", "),
        healthy.failed
    )?;
    writeln!(
        text,
        "| seen at | of less than a second | of these named a cause above 0.5 | slow | of these named one above 0.5 |\n\
         |---|---|---|---|---|"
    )?;
    let places = [
        "the clients' sockets",
        "their interface",
        "the servers' sockets",
    ];
    for (place, told) in places.iter().zip(&healthy.by) {
        let causes = told.causes.iter();
        let causes: Vec<_> = causes
            .map(|(cause, count)| format!("`{cause}` {count}"))
            .collect();
        writeln!(
            text,
            "| {place} | {} | {} | {} | {} |",
            told.quick,
            told.alarms.len(),
            told.slow,
            causes.join(", ")
        )?;
    }
    Ok(text)
}
