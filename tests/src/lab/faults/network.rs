//! What the way does to packets.

use std::time::Duration;

use anyhow::{Result, bail};

use super::{ALL, PATIENT};
use crate::drivers::{Driver, Encrypt, Errand};
use crate::lab::router;
use crate::lab::trial::{Trial, came};

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

pub(super) fn loss(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&[])?;
    let before = trial.draw.number(0..=2);
    trial.healthy(before)?;
    let packet = trial.draw.number(2..=6) as u32;
    let set = match trial.draw.number(0..=4) {
        0 | 1 => router::lose_up(packet),
        2 | 3 => router::lose_down(packet),
        _ => router::LOSSY.to_owned(),
    };
    trial.site.treat(&set, trial.place.server())?;
    let driver = trial.driver(&ALL);
    let mut login = trial.encrypted(driver);
    login.timeout = 60;
    trial.goes_wrong(driver, &login)
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

/// A connection that is in use, is left alone for more than a minute, and is then used again.
pub(super) fn idle_drop(trial: &mut Trial<'_>) -> Result<()> {
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
    trial.site.treat(router::RESET, trial.place.server())?;
    let process = client.pid();
    let fared = client.fares_within(Duration::from_secs(150))?;
    if fared.ok {
        bail!("the connection was not cut: {}", fared.output);
    }
    trial.keep(process, driver, true, &fared.output);
    Ok(())
}

/// Nobody waits for a packet that comes once more.
pub(super) fn twice(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&[])?;
    trial.site.treat(router::TWICE, trial.place.server())?;
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
    let _late = trial.site.hold_back(trial.place, late)?;
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
