//! Who gives tickets and tokens, and who knows which certificates are revoked.

use anyhow::Result;

use crate::drivers::{Driver, Encrypt, Login};
use crate::kdc::{Kdc, Key, SPN};
use crate::lab::router;
use crate::lab::site::{IMDS, PORT};
use crate::lab::trial::Trial;
use crate::peer::Peer;

/// A KDC on the server's host, which is asked over somebody who passes its answers on so many milliseconds late,
/// and a server that takes its tickets.
struct Domain {
    kdc: Kdc,
    _peers: [Peer; 2],
}

impl Domain {
    fn new(trial: &Trial<'_>, late: u64, services: &[&str]) -> Result<Self> {
        Self::with(trial, late, services, &[])
    }

    /// The same with whatever else the server is told.
    fn with(trial: &Trial<'_>, late: u64, services: &[&str], options: &[&str]) -> Result<Self> {
        let address = trial.place.server();
        let host = trial.site.servers();
        let [own, asked] = [1088, 88].map(|port| format!("{address}:{port}"));
        let late = late.to_string();
        let arguments = ["--listen", &asked, "--to", &own, "--delay", &late];
        let relay = Peer::slow(host, &arguments)?;
        let kdc = Kdc::start_on(host, (own.parse()?, asked.parse()?), services)?;
        let listen = format!("{address}:{PORT}");
        let own = ["--listen", &listen, "--auth", "kerberos", "--say-steps"];
        let key = kdc.server(Key::Current);
        let server = Peer::scenario_with(Some(host), &[&own[..], options].concat(), key)?;
        Ok(Self {
            kdc,
            _peers: [relay, server],
        })
    }
}

/// A login by ticket.
fn by_ticket(trial: &mut Trial<'_>, domain: &Domain) -> (Driver, Login) {
    let driver = trial.driver(&[Driver::Tsql, Driver::Odbc]);
    let mut login = trial.login(driver);
    login.by_ticket(&domain.kdc);
    login.timeout = 60;
    (driver, login)
}

/// The ticket comes late.
pub(super) fn slow_kdc(trial: &mut Trial<'_>) -> Result<()> {
    let late = trial.draw.number(1200..=3000);
    let domain = Domain::new(trial, late, &[SPN])?;
    let (driver, login) = by_ticket(trial, &domain);
    trial.goes_wrong(driver, &login)
}

/// The KDC does not know the server by that name.
pub(super) fn no_such_name(trial: &mut Trial<'_>) -> Result<()> {
    let domain = Domain::new(trial, 0, &["HTTP/other.lab.test"])?;
    let (driver, login) = by_ticket(trial, &domain);
    trial.goes_wrong(driver, &login)
}

/// The server's security layer can do nothing with the ticket, and leaves.
pub(super) fn refused_ticket(trial: &mut Trial<'_>) -> Result<()> {
    let how = trial.draw.one(&["--close-at", "--reset-at"]);
    let domain = Domain::with(trial, 0, &[SPN], &[how, "login"])?;
    let (driver, login) = by_ticket(trial, &domain);
    trial.goes_wrong(driver, &login)
}

/// The client's clock is wrong.
pub(super) fn wrong_clock(trial: &mut Trial<'_>) -> Result<()> {
    let domain = Domain::new(trial, 0, &[SPN])?;
    let (driver, mut login) = by_ticket(trial, &domain);
    let behind = trial.draw.number(600..=7200) as i32;
    login.environment = domain.kdc.client_behind(behind)?;
    trial.goes_wrong(driver, &login)
}

/// The KDC can not be reached.
pub(super) fn no_kdc(trial: &mut Trial<'_>) -> Result<()> {
    let nowhere = trial.place.other_server();
    trial.site.treat(router::BLACK, nowhere)?;
    let domain = Domain::new(trial, 0, &[SPN])?;
    let (driver, mut login) = by_ticket(trial, &domain);
    let asked = format!("{nowhere}:88").parse()?;
    login.environment = domain.kdc.client_asking(asked)?;
    trial.goes_wrong(driver, &login)
}

/// A machine's own token comes late: before the connection, or when the server wants one.
pub(super) fn slow_token(trial: &mut Trial<'_>) -> Result<()> {
    trial.site.tokens(&format!("{IMDS}:80"))?;
    let _server = trial.server(&["--auth", "fedauth", "--encrypt", "on"])?;
    let driver = trial.driver(&[Driver::Odbc, Driver::MssqlTds, Driver::Tedious]);
    let mut login = trial.login(driver);
    login.encrypt = Encrypt::On;
    login.auth = match driver {
        Driver::Odbc => "token",
        _ => "token-on-demand",
    };
    // As long as they are, which tells one inside TLS.
    login.password = "0123456789abcdef".repeat(trial.draw.number(100..=150) as usize);
    let late = trial.draw.number(1200..=3000);
    login.token_from = Some(format!("http://{IMDS}/token?late={late}"));
    login.timeout = 60;
    trial.goes_wrong(driver, &login)
}

/// Who knows which certificates are revoked does not answer. No driver for Linux asks: a client of the tests' own does.
pub(super) fn blocked_revocation(trial: &mut Trial<'_>) -> Result<()> {
    let nowhere = trial.place.other_server();
    trial.site.treat(router::BLACK, nowhere)?;
    let crl = format!("crl{}.lab.test", trial.number);
    let known = format!("{crl}={nowhere}");
    trial.asks_for_names("options timeout:5", &["--host", &known])?;
    let _server = trial.server(&["--encrypt", "on"])?;
    trial.own_client(&["asks", &crl])
}
