//! What the way does to packets.

use std::time::Duration;

use anyhow::{Result, bail};

use super::{ALL, PATIENT};
use crate::drivers::{Driver, Encrypt, Errand};
use crate::lab::client::Client;
use crate::lab::router;
use crate::lab::trial::{Trial, arrives, came, says};
use crate::peer::Peer;

pub(super) fn port_closed(trial: &mut Trial<'_>) -> Result<()> {
    if trial.draw.percent(50) {
        // It did listen.
        let _server = trial.server(&[])?;
        trial.healthy(1)?;
    }
    let driver = trial.driver(&ALL);
    let mut login = trial.login(driver);
    login.timeout = 4;
    trial.goes_wrong(driver, &login)
}

pub(super) fn black_hole(trial: &mut Trial<'_>) -> Result<()> {
    let before = trial.draw.number(0..=2);
    let _server = trial.server(&[])?;
    trial.healthy(before)?;
    let how = trial.draw.one(&[router::SYNS, router::BLACK]);
    trial.site.treat(how, trial.place.server())?;
    let driver = trial.driver(&PATIENT);
    let mut login = trial.login(driver);
    login.timeout = trial.draw.number(3..=9) as u32;
    trial.goes_wrong(driver, &login)
}

pub(super) fn one_of_two(trial: &mut Trial<'_>) -> Result<()> {
    let dead = trial.place.other_server();
    let _server = trial.server(&[])?;
    trial.site.treat(router::SYNS, dead)?;
    let driver = trial.driver(&[
        Driver::Odbc,
        Driver::PythonTds,
        Driver::Tedious,
        Driver::Pymssql,
    ]);
    let mut login = trial.login(driver);
    login.host = trial.place.both_names();
    login.timeout = trial.draw.number(8..=20) as u32;
    login.several = trial.draw.percent(50);
    trial.goes_wrong(driver, &login)?;
    if let Some(known) = trial.known.last_mut() {
        known.server = dead.to_string();
    }
    Ok(())
}

pub(super) fn cut(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&[])?;
    let before = trial.draw.number(0..=2);
    trial.healthy(before)?;
    let set = router::cut(trial.draw.number(3..=5) as u32);
    trial.site.treat(&set, trial.place.server())?;
    let driver = trial.driver(&ALL);
    let mut login = trial.encrypted(driver);
    login.timeout = 5;
    trial.goes_wrong(driver, &login)
}

/// Packets that the client sends.
pub(super) fn loss(trial: &mut Trial<'_>) -> Result<()> {
    let packet = trial.draw.number(2..=6) as u32;
    loses(trial, &router::lose_up(packet))
}

/// Packets that the server sends: its host knows that it sends them again.
pub(super) fn loss_of_answers(trial: &mut Trial<'_>) -> Result<()> {
    let packet = trial.draw.number(2..=6) as u32;
    loses(trial, &router::lose_down(packet))
}

fn loses(trial: &mut Trial<'_>, set: &str) -> Result<()> {
    let _server = trial.server(&[])?;
    let before = trial.draw.number(0..=2);
    trial.healthy(before)?;
    trial.site.treat(set, trial.place.server())?;
    let driver = trial.driver(&ALL);
    let mut login = trial.encrypted(driver);
    login.timeout = 60;
    trial.goes_wrong(driver, &login)
}

/// The clients' own host does not let the server's answers in.
pub(super) fn own_firewall(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&[])?;
    let before = trial.draw.number(0..=2);
    trial.healthy(before)?;
    trial.site.shut_out(trial.place.server())?;
    let driver = trial.driver(&PATIENT);
    let mut login = trial.login(driver);
    login.timeout = trial.draw.number(3..=9) as u32;
    trial.goes_wrong(driver, &login)
}

/// The same, once the handshake is over.
pub(super) fn own_firewall_later(trial: &mut Trial<'_>) -> Result<()> {
    let step = trial.draw.one(&["prelogin", "login"]);
    let delay = format!("{step}=400");
    let before = trial.draw.number(0..=2);
    let spare = before.to_string();
    let options = ["--spare", &spare, "--delay-at", &delay];
    let mut server = trial.server(&options)?;
    trial.healthy(before)?;
    let driver = trial.driver(&PATIENT);
    let mut login = trial.login(driver);
    login.timeout = super::server::patience(trial, driver).max(5);
    let client = trial.start(driver, &login)?;
    let process = client.pid();
    let port = arrives(&mut server, before)?;
    says(&mut server, &format!("port {port} at {step}"))?;
    trial.site.shut_out(trial.place.server())?;
    let output = client.ends()?;
    trial.keep(process, driver, true, &output);
    Ok(())
}

/// The hello needs two segments, and the way loses the first of them, which is full.
pub(super) fn hello_lost(trial: &mut Trial<'_>) -> Result<()> {
    loses_hello(trial, router::NARROWER_UP)
}

/// The same of the second one.
pub(super) fn rest_of_hello_lost(trial: &mut Trial<'_>) -> Result<()> {
    loses_hello(trial, router::LATER_UP)
}

fn loses_hello(trial: &mut Trial<'_>, set: &str) -> Result<()> {
    let _server = trial.server(&["--encrypt", "on"])?;
    let before = trial.draw.number(0..=1);
    trial.healthy(before)?;
    trial.site.cut_small(trial.place, 400)?;
    trial.site.treat(set, trial.place.server())?;
    // Hellos of others are shorter.
    let driver = trial.driver(&[
        Driver::Tiberius,
        Driver::FreetdsOdbc,
        Driver::MssqlTds,
        Driver::Tsql,
    ]);
    let mut login = trial.encrypted(driver);
    login.timeout = trial.draw.number(6..=12) as u32;
    trial.goes_wrong(driver, &login)
}

/// A process on the client's own host passes on what is said, and takes its time.
pub(super) fn proxy(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&[])?;
    let [listen, to] = [trial.place.client(), trial.place.server()]
        .map(|address| format!("{address}:{}", crate::lab::site::PORT));
    let delay = trial.draw.number(400..=900).to_string();
    let options = ["--listen", &listen, "--to", &to, "--delay", &delay];
    let _proxy = Peer::slow(trial.site.clients(), &options)?;
    let driver = trial.driver(&[Driver::Odbc, Driver::MssqlTds, Driver::Tedious]);
    let mut login = trial.login(driver);
    login.host = trial.place.client().to_string();
    login.timeout = 60;
    trial.goes_wrong(driver, &login)?;
    if let Some(known) = trial.known.last_mut() {
        known.server = trial.place.client().to_string();
    }
    Ok(())
}

/// A login with a token, which is long.
pub(super) fn path_mtu_up(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&["--auth", "fedauth", "--encrypt", "on"])?;
    trial.site.treat(router::NARROW_UP, trial.place.server())?;
    let driver = trial.driver(&[
        Driver::Odbc,
        Driver::Tedious,
        Driver::MssqlTds,
        Driver::Tiberius,
    ]);
    let mut login = trial.encrypted(driver);
    login.encrypt = Encrypt::On;
    login.auth = "token";
    login.password = "0123456789abcdef".repeat(trial.draw.number(100..=250) as usize);
    login.timeout = trial.draw.number(6..=12) as u32;
    trial.goes_wrong(driver, &login)
}

/// A certificate that is long.
pub(super) fn path_mtu_down(trial: &mut Trial<'_>) -> Result<()> {
    let drivers = [
        Driver::Pymssql,
        Driver::Tedious,
        Driver::FreetdsOdbc,
        Driver::MssqlTds,
    ];
    let _server = trial.server(&["--long-certificate"])?;
    let before = trial.draw.number(0..=1);
    trial.healthy(before)?;
    trial
        .site
        .treat(router::NARROW_DOWN, trial.place.server())?;
    let driver = trial.driver(&drivers);
    let mut login = trial.encrypted(driver);
    login.timeout = trial.draw.number(6..=12) as u32;
    trial.goes_wrong(driver, &login)
}

/// A connection that is in use, is left alone for more than a minute, and is then used again: whoever is on the way
/// says that there is none.
pub(super) fn idle_drop(trial: &mut Trial<'_>) -> Result<()> {
    let (process, driver, client) = idle(trial, router::RESET)?;
    let fared = client.fares_within(Duration::from_secs(150))?;
    if fared.ok {
        bail!("the connection was not cut: {}", fared.output);
    }
    trial.keep(process, driver, true, &fared.output);
    Ok(())
}

/// The same, and nobody says so: the client waits for an answer until it is sent away.
pub(super) fn idle_forgotten(trial: &mut Trial<'_>) -> Result<()> {
    let (process, driver, client) = idle(trial, router::BLACK)?;
    let output = client.ends()?;
    trial.keep(process, driver, true, &output);
    let server = trial.place.server();
    // Its kernel goes on for it, for a while.
    trial.site.is_left(server)
}

fn idle(trial: &mut Trial<'_>, set: &str) -> Result<(u32, Driver, Client)> {
    let drivers = [
        Driver::Pymssql,
        Driver::Odbc,
        Driver::PythonTds,
        Driver::FreetdsOdbc,
    ];
    let driver = trial.driver(&drivers);
    let mut server = trial.server(&[])?;
    let mut login = trial.login(driver);
    login.errand = Errand::Idle;
    let client = trial.start(driver, &login)?;
    came(&mut server, "past login", 1)?;
    // Drivers that send keep-alives do so every thirty seconds.
    std::thread::sleep(Duration::from_secs(61));
    trial.site.treat(set, trial.place.server())?;
    Ok((client.pid(), driver, client))
}

/// Nobody waits for a packet that comes once more.
pub(super) fn twice(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&[])?;
    trial.site.treat(router::TWICE, trial.place.server())?;
    trial.healthy(2)
}

/// Nor for one that comes after the one behind it.
pub(super) fn disordered(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&[])?;
    let _disorder = trial.site.pass(trial.place, "disordered")?;
    trial.healthy(2)
}

/// A round trip that is longer than it was.
pub(super) fn slow(trial: &mut Trial<'_>) -> Result<()> {
    let drivers = [
        Driver::Tsql,
        Driver::Pymssql,
        Driver::Odbc,
        Driver::FreetdsOdbc,
        Driver::MssqlTds,
        Driver::Tiberius,
    ];
    let _server = trial.server(&[])?;
    // From eight on it is known what is usual.
    let before = trial.draw.one(&[1, 9]);
    trial.healthy_by(before, &[Driver::Tsql, Driver::Pymssql], |_| {})?;
    let late = trial.draw.number(400..=800);
    let _late = trial.site.pass(trial.place, &format!("none={late}"))?;
    let driver = trial.driver(&drivers);
    let mut login = trial.login(driver);
    login.timeout = 60;
    trial.goes_wrong(driver, &login)
}

/// The server reads nothing for a while, as it seems to its client.
pub(super) fn shut_window(trial: &mut Trial<'_>) -> Result<()> {
    let mut server = trial.server(&[])?;
    let before = trial.draw.number(0..=2);
    trial.healthy(before)?;
    let driver = trial.driver(&PATIENT);
    let mut login = trial.login(driver);
    login.timeout = 60;
    let shut = trial.draw.number(1500..=3500);
    let address = trial.place.server();
    trial.site.treat(router::SHUT, address)?;
    let client = trial.start(driver, &login)?;
    came(&mut server, "past prelogin", before as usize + 1)?;
    std::thread::sleep(Duration::from_millis(shut));
    trial.site.leave(router::SHUT, address)?;
    let process = client.pid();
    let output = client.fares()?.output;
    trial.keep(process, driver, true, &output);
    Ok(())
}
