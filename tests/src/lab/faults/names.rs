//! Name servers that are late, silent, ignorant or wrong.

use anyhow::Result;

use super::ALL;
use crate::drivers::{Driver, Login};
use crate::lab::router;
use crate::lab::trial::Trial;
use crate::peer::Peer;

/// One login by name.
fn by_name(trial: &mut Trial<'_>) -> Result<()> {
    let driver = trial.driver(&ALL);
    let mut login = trial.login(driver);
    login.timeout = 60;
    trial.goes_wrong(driver, &login)
}

/// It answers, and takes its time.
pub(super) fn slow(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&[])?;
    let late = trial.draw.number(1100..=2500).to_string();
    trial.asks_for_names("options timeout:10 attempts:1", &["--delay", &late])?;
    by_name(trial)
}

/// Of the two answers one is lost.
pub(super) fn twin_lost(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&[])?;
    let words = format!("options timeout:{}", trial.draw.number(2..=5));
    let kind = trial.draw.one(&["A", "AAAA"]);
    trial.asks_for_names(&words, &["--drops", kind])?;
    by_name(trial)
}

/// It never says whether there is an address of the other family.
pub(super) fn silent(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&[])?;
    let words = format!("options timeout:{} attempts:1", trial.draw.number(2..=4));
    trial.asks_for_names(&words, &["--silent", "AAAA"])?;
    by_name(trial)
}

/// The name is short, and each name of the list that it is tried with before the right one takes its time.
pub(super) fn search_list(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&[])?;
    let late = trial.draw.number(250..=500).to_string();
    let words = "search bad.test worse.test none.test lab.test\noptions timeout:10 attempts:1";
    trial.asks_for_names(words, &["--delay", &late])?;
    let driver = trial.driver(&ALL);
    let mut login = trial.login(driver);
    let name = trial.place.name();
    name.split('.')
        .next()
        .unwrap_or(&name)
        .clone_into(&mut login.host);
    login.timeout = 60;
    trial.goes_wrong(driver, &login)
}

/// It tells an address where nobody is.
pub(super) fn lies(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&[])?;
    let wrong = trial.place.other_server();
    if trial.draw.percent(50) {
        trial.site.treat(router::SYNS, wrong)?;
    }
    trial.is_told(wrong, "options timeout:5", &[])?;
    let driver = trial.driver(&ALL);
    let mut login = trial.login(driver);
    login.timeout = trial.draw.number(4..=8) as u32;
    trial.goes_wrong(driver, &login)?;
    if let Some(known) = trial.known.last_mut() {
        known.server = wrong.to_string();
    }
    Ok(())
}

/// SQL Browser on the server's host, with whatever else it is told.
fn browser(trial: &Trial<'_>, options: &[&str]) -> Result<Peer> {
    let listen = format!("{}:1434", trial.place.server());
    let known = format!("LAB={}", crate::lab::site::PORT);
    let own = ["browser", "--listen", &listen, "--instance", &known];
    Peer::names(trial.site.servers(), &[&own[..], options].concat())
}

/// A login by the name of its instance, by a driver that asks for that one.
fn by_instance(trial: &mut Trial<'_>) -> (Driver, Login) {
    let driver = trial.driver(&[
        Driver::Tsql,
        Driver::FreetdsOdbc,
        Driver::Odbc,
        Driver::Tedious,
        Driver::PythonTds,
    ]);
    let mut login = trial.login(driver);
    login.instance = Some("LAB".to_owned());
    (driver, login)
}

/// SQL Browser takes its time to say where the instance is.
pub(super) fn slow_browser(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&[])?;
    let late = trial.draw.number(1200..=3000).to_string();
    let _browser = browser(trial, &["--late", &late])?;
    let (driver, mut login) = by_instance(trial);
    login.timeout = 30;
    trial.goes_wrong(driver, &login)
}

/// It tells a port that nobody listens on.
pub(super) fn stale_browser(trial: &mut Trial<'_>) -> Result<()> {
    let _browser = browser(trial, &[])?;
    let (driver, mut login) = by_instance(trial);
    login.timeout = 4;
    trial.goes_wrong(driver, &login)
}
