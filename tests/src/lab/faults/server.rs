//! Servers that are silent, slow, or turn clients away.

use anyhow::{Result, ensure};

use super::{ALL, PATIENT, at_server};
use crate::drivers::{Driver, Encrypt, Errand};
use crate::lab::router;
use crate::lab::trial::{LIMIT, Trial, arrives, says};

/// The server's name of its first connection.
const FIRST: u64 = 51;

/// A server without any fault: several drivers, one after the other.
pub(super) fn healthy(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&[])?;
    trial.healthy(4)
}

fn silent(trial: &mut Trial<'_>, step: &str) -> Result<()> {
    let driver = trial.driver(&PATIENT);
    let mut login = match step {
        "tls" => trial.encrypted(driver),
        _ => trial.login(driver),
    };
    login.timeout = patience(trial, driver);
    at_server(trial, &["--silent-at", step], driver, &login)
}

pub(super) fn silent_accept(trial: &mut Trial<'_>) -> Result<()> {
    silent(trial, "accept")
}

pub(super) fn silent_prelogin(trial: &mut Trial<'_>) -> Result<()> {
    silent(trial, "prelogin")
}

pub(super) fn silent_tls(trial: &mut Trial<'_>) -> Result<()> {
    silent(trial, "tls")
}

pub(super) fn silent_login(trial: &mut Trial<'_>) -> Result<()> {
    silent(trial, "login")
}

fn slow(trial: &mut Trial<'_>, step: &str) -> Result<()> {
    let driver = trial.driver(&ALL);
    let mut login = match step {
        "tls" => trial.encrypted(driver),
        _ => trial.login(driver),
    };
    login.timeout = 60;
    let delay = format!("{step}={}", trial.draw.number(1100..=4000));
    at_server(trial, &["--delay-at", &delay], driver, &login)
}

pub(super) fn slow_prelogin(trial: &mut Trial<'_>) -> Result<()> {
    slow(trial, "prelogin")
}

pub(super) fn slow_tls(trial: &mut Trial<'_>) -> Result<()> {
    slow(trial, "tls")
}

pub(super) fn slow_login(trial: &mut Trial<'_>) -> Result<()> {
    slow(trial, "login")
}

/// The server answers when its client has left.
pub(super) fn late_reply(trial: &mut Trial<'_>) -> Result<()> {
    let driver = trial.driver(&PATIENT);
    let step = trial.draw.one(&["prelogin", "login"]);
    let mut login = trial.login(driver);
    login.timeout = if driver == Driver::PythonTds { 15 } else { 3 };
    let delay = format!("{step}={}", trial.draw.number(4000..=6000));
    let before = trial.draw.number(0..=2);
    let options = [
        "--spare",
        &before.to_string(),
        "--faulty",
        "1",
        "--delay-at",
        &delay,
    ];
    let mut server = trial.server(&options)?;
    trial.healthy(before)?;
    trial.goes_wrong(driver, &login)?;
    let port = arrives(&mut server, before)?;
    says(&mut server, &format!("port {port} past {step}"))?;
    let end = format!("{} end", FIRST + before);
    let ended = server.wait(LIMIT, |lines| {
        lines.iter().any(|line| line.starts_with(&end))
    });
    ensure!(ended, "the server does not answer: {:#?}", server.lines());
    Ok(())
}

pub(super) fn dropped_at_accept(trial: &mut Trial<'_>) -> Result<()> {
    dropped(trial, &DROPS, "accept")
}

pub(super) fn dropped_at_login(trial: &mut Trial<'_>) -> Result<()> {
    dropped(trial, &["--close-at", "--reset-at"], "login")
}

/// How a server turns away whom it has not listened to.
pub(super) const DROPS: [&str; 2] = ["--drop-at", "--reset-at"];

fn dropped(trial: &mut Trial<'_>, how: &[&str], step: &str) -> Result<()> {
    let driver = trial.driver(&ALL);
    let login = trial.login(driver);
    let how = trial.draw.one(how);
    at_server(trial, &[how, step], driver, &login)
}

/// Errors by which a login is refused, of the server and of its gateway.
const REFUSALS: [&str; 10] = [
    "18456", "18452", "18470", "18487", "18488", "17828", "40615", "10928", "10929", "18461",
];

/// The error is another one in each run; a trigger's comes after notices.
pub(super) fn rejected(trial: &mut Trial<'_>) -> Result<()> {
    match trial.draw.number(0..=REFUSALS.len() as u64) as usize {
        place if place < REFUSALS.len() => refused(trial, &["--fail-number", REFUSALS[place]]),
        _ => refused(trial, &["--fail-as", "trigger"]),
    }
}

pub(super) fn no_database(trial: &mut Trial<'_>) -> Result<()> {
    refused(trial, &["--fail-as", "database"])
}

pub(super) fn resuming(trial: &mut Trial<'_>) -> Result<()> {
    refused(trial, &["--fail-number", "40613"])
}

/// A login in clear, or of which only the login packet is sealed: what is sealed to its end shows no error.
fn refused(trial: &mut Trial<'_>, how: &[&str]) -> Result<()> {
    use Encrypt::{None, Off, On};
    let driver = trial.driver(&ALL);
    let mut login = trial.login(driver);
    if login.encrypt == On {
        login.encrypt = match driver {
            Driver::Tedious => None,
            _ => Off,
        };
    }
    let state = trial.draw.number(1..=60).to_string();
    at_server(
        trial,
        &[&["--fail-login", &state][..], how].concat(),
        driver,
        &login,
    )
}

/// Drivers that go where they are sent.
const FOLLOWING: [Driver; 3] = [Driver::Odbc, Driver::Tedious, Driver::MssqlTds];

/// By an acknowledgement that can be read.
pub(super) fn sent_to_nowhere(trial: &mut Trial<'_>) -> Result<()> {
    sent(trial, |driver| match driver {
        Driver::Tedious => Encrypt::None,
        _ => Encrypt::Off,
    })
}

/// By one inside TLS.
pub(super) fn sent_in_secret(trial: &mut Trial<'_>) -> Result<()> {
    sent(trial, |_| Encrypt::On)
}

fn sent(trial: &mut Trial<'_>, encrypt: fn(Driver) -> Encrypt) -> Result<()> {
    let nowhere = trial.place.other_server();
    if trial.draw.percent(50) {
        trial.site.treat(router::SYNS, nowhere)?;
    }
    let driver = trial.driver(&FOLLOWING);
    let mut login = trial.login(driver);
    login.encrypt = encrypt(driver);
    login.timeout = trial.draw.number(4..=8) as u32;
    let route = format!("{nowhere}:{}", login.port);
    at_server(trial, &["--route", &route], driver, &login)?;
    if let Some(known) = trial.known.iter_mut().find(|known| known.faulty) {
        known.server = nowhere.to_string();
    }
    Ok(())
}

pub(super) fn sent_on(trial: &mut Trial<'_>) -> Result<()> {
    let other = trial.place.other_server().to_string();
    let _other = trial.server_at(&other, &[])?;
    let route = format!("{other}:1433");
    let _server = trial.server(&["--route", &route])?;
    let driver = trial.driver(&FOLLOWING);
    trial.healthy_by(1, &[driver], |_| {})
}

/// Something else listens there, and says so.
pub(super) fn stranger(trial: &mut Trial<'_>) -> Result<()> {
    let greetings = [
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n",
        "SSH-2.0-OpenSSH_9.2p1 Debian-2",
        "220 mail.lab.test ESMTP",
        "* OK IMAP4rev1 ready",
    ];
    let greeting = trial.draw.one(&greetings);
    let _server = trial.server(&["--speak", greeting])?;
    let driver = trial.driver(&PATIENT);
    let mut login = trial.login(driver);
    login.timeout = 5;
    trial.goes_wrong(driver, &login)
}

/// How long a driver is told to wait: python-tds waits for a twelfth of it at a time.
pub(super) fn patience(trial: &mut Trial<'_>, driver: Driver) -> u32 {
    let least = if driver == Driver::PythonTds { 15 } else { 3 };
    trial.draw.number(least..=least * 2 + 1) as u32
}

/// A server goes while a pool has its connections, and is back a little later.
pub(super) fn restarts(trial: &mut Trial<'_>) -> Result<()> {
    let driver = trial.driver(&ALL);
    let server = trial.server(&[])?;
    let mut pool = Vec::new();
    for _ in 0..trial.draw.number(1..=3) {
        let one = trial
            .draw
            .one(&[Driver::Tsql, Driver::Pymssql, Driver::PythonTds]);
        let mut login = trial.login(one);
        login.errand = Errand::Stay;
        pool.push(trial.start(one, &login)?);
    }
    drop(server);
    let mut login = trial.login(driver);
    login.timeout = 4;
    trial.goes_wrong(driver, &login)?;
    for client in pool {
        client.ends()?;
    }
    let _server = trial.server(&[])?;
    trial.healthy(1)
}
