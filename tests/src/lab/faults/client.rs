//! Clients that owe the next message, or leave.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{ALL, NTLM};
use crate::drivers::{Driver, Encrypt, Login};
use crate::lab::client::Client;
use crate::lab::trial::{Trial, arrives, came, says, until};
use crate::limit::Limit;
use crate::peer::Peer;
use crate::process::Running;

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
        Self::within(trial, step, driver, login, None)
    }

    /// The same with a limit to its processor time.
    fn within(
        trial: &mut Trial<'_>,
        step: &str,
        driver: Driver,
        login: &Login,
        limit: Option<&Limit>,
    ) -> Result<Self> {
        let by: &[&str] = match login.auth {
            "ntlm" => &["--auth", "ntlm"],
            "token-on-demand" => &["--auth", "fedauth", "--encrypt", "on"],
            _ => &[],
        };
        let before = match by {
            [] => trial.draw.number(0..=2),
            _ => 0,
        };
        let (spare, delay) = (before.to_string(), format!("{step}={THINKS}"));
        let options = ["--spare", &spare, "--faulty", "1", "--delay-at", &delay];
        let mut server = trial.server(&[&options[..], by].concat())?;
        trial.healthy(before)?;
        let client = trial.start(driver, login)?;
        if let Some(limit) = limit {
            limit.take(client.pid())?;
        }
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

/// Drivers that log in by a token which they get when the server wants one.
const ON_DEMAND: [Driver; 2] = [Driver::MssqlTds, Driver::Tedious];

/// Stopped while the server thinks, it owes the next message once the server has answered.
pub(super) fn stopped(trial: &mut Trial<'_>) -> Result<()> {
    let step = trial
        .draw
        .one(&["prelogin", "tls", "finished", "ntlm", "token"]);
    let driver = trial.driver(match step {
        "ntlm" => &NTLM,
        "token" => &ON_DEMAND,
        _ => &ALL,
    });
    let mut login = match step {
        "ntlm" => trial.by_ntlm(driver),
        _ => trial.encrypted(driver),
    };
    if step == "token" {
        login.encrypt = Encrypt::On;
        login.auth = "token-on-demand";
        login.password = "0123456789abcdef".repeat(100);
    }
    login.timeout = 60;
    // The server's challenge, or what it says of tokens, is what it answers to the login.
    let step = match step {
        "ntlm" | "token" => "login",
        _ => step,
    };
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

/// Stopped while it connects, it owes PRELOGIN, for its kernel completes the handshake.
pub(super) fn stopped_before_prelogin(trial: &mut Trial<'_>) -> Result<()> {
    let driver = trial.driver(&ALL);
    let mut login = trial.login(driver);
    login.timeout = 60;
    let mut server = trial.server(&[])?;
    let before = trial.draw.number(0..=2);
    trial.healthy(before)?;
    // As long as it takes to stop the client; what comes after that is as quick as ever.
    let late = trial.site.pass(trial.place, "none=400")?;
    let mut client = trial.start(driver, &login)?;
    let address = trial.place.server();
    until("a client that connects", || {
        client.connects_to(address) || client.is_over().unwrap_or(true)
    })?;
    client.signal("STOP")?;
    until("a stopped client", || client.is_stopped())?;
    ensure!(client.connects_to(address), "it had connected already");
    arrives(&mut server, before)?;
    drop(late);
    std::thread::sleep(Duration::from_millis(trial.draw.number(1500..=3500)));
    client.signal("CONT")?;
    let process = client.pid();
    let output = client.fares()?.output;
    trial.keep(process, driver, true, &output);
    Ok(())
}

/// Its control group has no processor time left, once the server has answered.
pub(super) fn throttled(trial: &mut Trial<'_>) -> Result<()> {
    let step = trial.draw.one(&["prelogin", "tls"]);
    let driver = trial.driver(&ALL);
    let mut login = trial.encrypted(driver);
    login.timeout = 60;
    let limit = Limit::new()?;
    let mut caught = Caught::within(trial, step, driver, &login, Some(&limit))?;
    let process = caught.client.pid();
    // What there is of it another process of the same container takes.
    let busy = ["-c", "while :; do :; done"];
    let busy = Running::start(trial.program("sh").args(busy))?;
    limit.take(busy.pid())?;
    limit.tighten()?;
    caught.in_time()?;
    says(&mut caught.server, &caught.past)?;
    std::thread::sleep(Duration::from_millis(trial.draw.number(2000..=4000)));
    let enough = caught.client.is_over()?;
    ensure!(!enough, "what was left to it was enough");
    limit.loosen()?;
    drop(busy);
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
