//! Several logins that wait for the same thing.

use std::time::Duration;

use anyhow::Result;

use super::NTLM;
use crate::drivers::{Driver, Login};
use crate::lab::trial::Trial;
use crate::process::signal;

/// Drivers of a crowd, most of them light.
const CROWD: [Driver; 7] = [
    Driver::Tsql,
    Driver::Pymssql,
    Driver::Tsql,
    Driver::Odbc,
    Driver::Tsql,
    Driver::PythonTds,
    Driver::FreetdsOdbc,
];

/// Lets a crowd log in, each of it up to `gap` milliseconds after the one before.
fn crowd(
    trial: &mut Trial<'_>,
    count: u64,
    gap: u64,
    drivers: &[Driver],
    prepare: impl Fn(&mut Trial<'_>, Driver) -> Login,
) -> Result<()> {
    let mut clients = Vec::new();
    for number in 0..count {
        let driver = drivers[((number + trial.number) % drivers.len() as u64) as usize];
        let login = prepare(trial, driver);
        clients.push((driver, trial.start(driver, &login)?));
        std::thread::sleep(Duration::from_millis(trial.draw.number(0..=gap)));
    }
    for (driver, client) in clients {
        let process = client.pid();
        let output = client.fares()?.output;
        trial.keep(process, driver, true, &output);
    }
    Ok(())
}

/// A login that waits for as long as it takes.
fn patient(trial: &mut Trial<'_>, driver: Driver, step: &str) -> Login {
    let mut login = match step {
        "tls" => trial.encrypted(driver),
        "auth" => trial.by_ntlm(driver),
        _ => trial.login(driver),
    };
    login.timeout = 120;
    login
}

fn gated(trial: &mut Trial<'_>, step: &str, gate: &[&str], count: u64, gap: u64) -> Result<()> {
    let before = if step == "auth" {
        0
    } else {
        trial.draw.number(0..=2)
    };
    let (spare, of) = (before.to_string(), ["--auth", "ntlm"]);
    let of = if step == "auth" { &of[..] } else { &[] };
    let options = ["--spare", &spare, "--gate-at", step];
    let _server = trial.server(&[&options[..], gate, of].concat())?;
    trial.healthy(before)?;
    let drivers = if step == "auth" { &NTLM[..] } else { &CROWD };
    crowd(trial, count, gap, drivers, |trial, driver| {
        patient(trial, driver, step)
    })
}

pub(super) fn few_workers(trial: &mut Trial<'_>) -> Result<()> {
    let step = trial.draw.one(&["prelogin", "tls", "login"]);
    let workers = trial.draw.number(1..=3);
    let work = trial.draw.number(500..=900).to_string();
    let count = workers * trial.draw.number(4..=5);
    let gate = ["--workers", &workers.to_string(), "--work", &work];
    gated(trial, step, &gate, count.max(6), 150)
}

pub(super) fn no_workers(trial: &mut Trial<'_>) -> Result<()> {
    let step = trial.draw.one(&["prelogin", "tls", "login"]);
    let count = trial.draw.number(5..=9);
    let shut = trial.draw.number(3500..=6000);
    gated(
        trial,
        step,
        &["--shut", &shut.to_string(), "--workers", "100"],
        count,
        1500 / count,
    )
}

pub(super) fn queue(trial: &mut Trial<'_>) -> Result<()> {
    let work = trial.draw.number(400..=700).to_string();
    let count = trial.draw.number(6..=9);
    gated(
        trial,
        "auth",
        &["--workers", "1", "--work", &work],
        count,
        200,
    )
}

pub(super) fn slow_authenticator(trial: &mut Trial<'_>) -> Result<()> {
    let delay = format!("auth={}", trial.draw.number(2200..=4500));
    let _server = trial.server(&["--auth", "ntlm", "--delay-at", &delay])?;
    let (count, gap) = (trial.draw.number(3..=5), trial.draw.one(&[300, 1500, 3000]));
    crowd(trial, count, gap, &NTLM, |trial, driver| {
        patient(trial, driver, "auth")
    })
}

/// Each login waits for the same few round trips, however many there are.
pub(super) fn far_authenticator(trial: &mut Trial<'_>) -> Result<()> {
    let delay = format!("auth={}", trial.draw.number(1100..=1700));
    let _server = trial.server(&["--auth", "ntlm", "--delay-at", &delay])?;
    trial.healthy_by(3, &NTLM, |login| {
        login.auth = "ntlm";
        r"LAB\alice".clone_into(&mut login.user);
    })?;
    trial.known.clear();
    let (count, gap) = (trial.draw.number(3..=5), trial.draw.one(&[300, 1500, 3000]));
    crowd(trial, count, gap, &NTLM, |trial, driver| {
        patient(trial, driver, "auth")
    })
}

pub(super) fn dead_authenticator(trial: &mut Trial<'_>) -> Result<()> {
    let drivers = [Driver::Pymssql, Driver::PythonTds];
    let before = trial.draw.number(0..=2);
    let spare = before.to_string();
    let _server = trial.server(&["--auth", "ntlm", "--silent-at", "auth", "--spare", &spare])?;
    trial.healthy_by(before, &NTLM, |login| {
        login.auth = "ntlm";
        r"LAB\alice".clone_into(&mut login.user);
    })?;
    let (count, gap) = (trial.draw.number(1..=4), 700);
    crowd(trial, count, gap, &drivers, |trial, driver| {
        let mut login = patient(trial, driver, "auth");
        login.timeout = super::server::patience(trial, driver);
        login
    })
}

pub(super) fn connection_limit(trial: &mut Trial<'_>) -> Result<()> {
    let before = trial.draw.number(1..=3);
    let spare = before.to_string();
    let how = trial.draw.one(&super::server::DROPS);
    let _server = trial.server(&[how, "accept", "--spare", &spare])?;
    trial.healthy(before)?;
    let count = trial.draw.number(4..=7);
    crowd(trial, count, 200, &CROWD, |trial, driver| {
        trial.login(driver)
    })
}

/// The server accepts nobody for a while, and hardly anybody may wait: who finds no place sends its SYN again.
pub(super) fn backlog(trial: &mut Trial<'_>) -> Result<()> {
    let server = trial.server(&["--backlog", "1"])?;
    trial.healthy(2)?;
    signal(server.pid(), "STOP")?;
    let count = trial.draw.number(6..=8);
    let late = Duration::from_millis(trial.draw.number(2500..=4500));
    let pid = server.pid();
    let waits = std::thread::spawn(move || {
        std::thread::sleep(late);
        signal(pid, "CONT")
    });
    let logins = crowd(trial, count, 60, &CROWD, |trial, driver| {
        patient(trial, driver, "login")
    });
    waits
        .join()
        .map_err(|_panic| anyhow::anyhow!("the server is stopped"))??;
    logins
}
