//! Clients that owe the next message, or leave.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{ALL, NTLM};
use crate::drivers::{Driver, Login};
use crate::lab::client::Client;
use crate::lab::trial::{Trial, arrives, came, says, until};
use crate::peer::Peer;

/// How long the server thinks about it, in milliseconds, while the client is made to do something.
const THINKS: u64 = 700;

/// A client at the moment when the server is at a step with it.
struct Caught {
    server: Peer,
    client: Client,
    /// What the server says once it is past that step with it.
    past: String,
}

impl Caught {
    /// Lets a client log in, after so many healthy ones, and waits for that moment.
    fn new(trial: &mut Trial<'_>, step: &str, driver: Driver, login: &Login) -> Result<Self> {
        let by_ntlm: &[&str] = if login.auth == "ntlm" {
            &["--auth", "ntlm"]
        } else {
            &[]
        };
        let before = if by_ntlm.is_empty() {
            trial.draw.number(0..=2)
        } else {
            0
        };
        let (spare, delay) = (before.to_string(), format!("{step}={THINKS}"));
        let options = ["--spare", &spare, "--faulty", "1", "--delay-at", &delay];
        let mut server = trial.server(&[&options[..], by_ntlm].concat())?;
        trial.healthy(before)?;
        let client = trial.start(driver, login)?;
        let port = arrives(&mut server, before)?;
        says(&mut server, &format!("port {port} at {step}"))?;
        Ok(Self {
            server,
            client,
            past: format!("port {port} past {step}"),
        })
    }

    /// Fails where the server has answered already.
    fn in_time(&mut self) -> Result<()> {
        let late = self.server.lines().contains(&self.past);
        ensure!(!late, "the server had answered already");
        Ok(())
    }
}

/// Stopped while the server thinks, it owes the next message once the server has answered.
pub(super) fn stopped(trial: &mut Trial<'_>) -> Result<()> {
    let step = trial.draw.one(&["prelogin", "tls", "auth"]);
    let driver = trial.driver(if step == "auth" { &NTLM } else { &ALL });
    let mut login = match step {
        "auth" => trial.by_ntlm(driver),
        _ => trial.encrypted(driver),
    };
    login.timeout = 60;
    // The server's challenge is what it answers to the login.
    let step = if step == "auth" { "login" } else { step };
    let mut caught = Caught::new(trial, step, driver, &login)?;
    caught.client.signal("STOP")?;
    until("a stopped client", || caught.client.is_stopped())?;
    caught.in_time()?;
    says(&mut caught.server, &caught.past)?;
    std::thread::sleep(Duration::from_millis(trial.draw.number(1300..=3500)));
    caught.client.signal("CONT")?;
    let process = caught.client.pid();
    let output = caught.client.fares()?.output;
    trial.keep(process, driver, true, &output);
    Ok(())
}

/// It runs for a moment at a time.
pub(super) fn starved(trial: &mut Trial<'_>) -> Result<()> {
    let drivers = [
        Driver::PythonTds,
        Driver::Tedious,
        Driver::Odbc,
        Driver::Tiberius,
        Driver::MssqlTds,
    ];
    let driver = trial.driver(&drivers);
    let mut server = trial.server(&[])?;
    let mut login = trial.encrypted(driver);
    login.timeout = 60;
    let mut client = trial.start(driver, &login)?;
    came(&mut server, "at accept", 1)?;
    let (runs, waits) = (trial.draw.number(2..=4), trial.draw.number(200..=500));
    while !client.is_over()? {
        client.signal("STOP")?;
        std::thread::sleep(Duration::from_millis(waits));
        client.signal("CONT")?;
        std::thread::sleep(Duration::from_millis(runs));
    }
    let process = client.pid();
    let output = client.fares()?.output;
    trial.keep(process, driver, true, &output);
    Ok(())
}

/// Its process ends while the server thinks, for no longer than usual.
pub(super) fn leaves(trial: &mut Trial<'_>) -> Result<()> {
    let step = trial.draw.one(&["prelogin", "tls", "login"]);
    let driver = trial.driver(&ALL);
    let login = trial.encrypted(driver);
    let mut caught = Caught::new(trial, step, driver, &login)?;
    let process = caught.client.pid();
    caught.client.signal("KILL")?;
    until("the client's end", || {
        caught.client.is_over().unwrap_or(true)
    })?;
    caught.in_time()?;
    trial.keep(process, driver, true, "killed");
    Ok(())
}
