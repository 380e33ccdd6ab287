//! What client and server can not agree on in TLS.

use std::path::PathBuf;

use anyhow::Result;

use super::ALL;
use crate::drivers::{Check, Driver, Encrypt, Login};
use crate::lab::trial::Trial;
use crate::server::tls::Certificate;

/// Drivers that look at the certificate where they are told to.
const CHECKING: [Driver; 6] = [
    Driver::Tsql,
    Driver::Pymssql,
    Driver::Odbc,
    Driver::PythonTds,
    Driver::Tedious,
    Driver::Tiberius,
];
/// Those of them that look at its names.
const NAMING: [Driver; 4] = [
    Driver::Odbc,
    Driver::Tedious,
    Driver::Tiberius,
    Driver::Tsql,
];
/// Drivers that speak TDS 8.0.
const STRICT: [Driver; 5] = [
    Driver::Odbc,
    Driver::Tedious,
    Driver::MssqlTds,
    Driver::Tiberius,
    Driver::Pymssql,
];

pub(super) fn version(trial: &mut Trial<'_>) -> Result<()> {
    let old = trial.draw.one(&["1.0", "1.1"]);
    let drivers = [
        Driver::Odbc,
        Driver::PythonTds,
        Driver::MssqlTds,
        Driver::Tiberius,
        Driver::Pymssql,
        Driver::Tsql,
    ];
    let driver = trial.driver(&drivers);
    fails(trial, &["--tls-min", "1.0", "--tls-max", old], driver)
}

pub(super) fn cipher(trial: &mut Trial<'_>) -> Result<()> {
    // Of a key that the server has not.
    let ciphers = trial.draw.one(&[
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-SHA",
        "ARIA256-GCM-SHA384",
    ]);
    let driver = trial.driver(&ALL);
    fails(trial, &["--ciphers", ciphers], driver)
}

pub(super) fn group(trial: &mut Trial<'_>) -> Result<()> {
    // Of an exchange that takes a group which no driver offers.
    let ciphers = trial
        .draw
        .one(&["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"]);
    let groups = trial.draw.one(&["brainpoolP512r1", "secp224r1"]);
    let driver = trial.driver(&ALL);
    fails(trial, &["--ciphers", ciphers, "--groups", groups], driver)
}

pub(super) fn signature(trial: &mut Trial<'_>) -> Result<()> {
    // Those that are not old do not take it any more.
    let driver = trial.driver(&[
        Driver::Odbc,
        Driver::PythonTds,
        Driver::MssqlTds,
        Driver::Tiberius,
        Driver::Pymssql,
        Driver::Tedious,
    ]);
    let signatures = trial.draw.one(&["RSA+SHA1", "ECDSA+SHA256", "ed25519"]);
    fails(trial, &["--signatures", signatures], driver)
}

/// A login to a server where TLS fails for everybody.
fn fails(trial: &mut Trial<'_>, options: &[&str], driver: Driver) -> Result<()> {
    let _server = trial.server(options)?;
    let mut login = trial.encrypted(driver);
    login.timeout = 8;
    trial.goes_wrong(driver, &login)
}

/// A login that looks at the certificate, by those of an authority in a file.
fn checking(trial: &mut Trial<'_>, driver: Driver, authority: &Authority, check: Check) -> Login {
    let mut login = trial.encrypted(driver);
    login.check = check;
    login.certificate = Some(authority.0.clone());
    let file = authority.0.display().to_string();
    // Where ODBC looks, by way of OpenSSL.
    login.environment = vec![("SSL_CERT_FILE", file)];
    login.timeout = 8;
    login
}

pub(super) fn untrusted(trial: &mut Trial<'_>) -> Result<()> {
    let driver = trial.driver(&CHECKING);
    let authority = Authority::new(trial);
    let other = Certificate::self_signed("authority.lab.test", 30)?;
    std::fs::write(&authority.0, other.certificate_pem()?)?;
    let issued: &[&str] = if trial.draw.percent(50) {
        &["--issued"]
    } else {
        &[]
    };
    let _server = trial.server(issued)?;
    let login = checking(trial, driver, &authority, Check::Issuer);
    trial.goes_wrong(driver, &login)
}

pub(super) fn expired(trial: &mut Trial<'_>) -> Result<()> {
    let driver = trial.driver(&CHECKING);
    let authority = Authority::new(trial);
    let days = format!("-{}", trial.draw.number(1..=300));
    let _server = trial.server(&[
        "--issued",
        "--days",
        &days,
        "--certificate-out",
        &authority.path(),
    ])?;
    let login = checking(trial, driver, &authority, Check::Issuer);
    trial.goes_wrong(driver, &login)
}

pub(super) fn other_name(trial: &mut Trial<'_>) -> Result<()> {
    let driver = trial.driver(&NAMING);
    let authority = Authority::new(trial);
    let _server = trial.server(&["--issued", "--certificate-out", &authority.path()])?;
    // By a name server: one of the drivers does not say in its hello whom it looks for.
    trial.asks_for_names("options timeout:10", &[])?;
    let mut login = checking(trial, driver, &authority, Check::Name);
    login.host = trial.place.alias();
    trial.goes_wrong(driver, &login)
}

/// Nobody on Linux minds but programs in Go: the tests' own client leaves as they do.
pub(super) fn negative_serial(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&["--negative-serial"])?;
    let how = trial.draw.one(&[&["refuses"][..], &["refuses", "quietly"]]);
    trial.own_client(how)
}

/// Drivers that do not mind it.
pub(super) fn negative_serial_taken(trial: &mut Trial<'_>) -> Result<()> {
    let _server = trial.server(&["--negative-serial"])?;
    trial.healthy_by(2, &ALL, |login| login.encrypt = Encrypt::On)
}

pub(super) fn not_strict(trial: &mut Trial<'_>) -> Result<()> {
    let driver = trial.driver(&STRICT);
    let authority = Authority::new(trial);
    let _server = trial.server(&["--certificate-out", &authority.path()])?;
    let mut login = Login::to(trial.place.name(), crate::lab::site::PORT, Encrypt::Strict);
    login.certificate = Some(authority.0.clone());
    login.timeout = 8;
    trial.goes_wrong(driver, &login)
}

pub(super) fn only_strict(trial: &mut Trial<'_>) -> Result<()> {
    let authority = Authority::new(trial);
    let _server = trial.server(&[
        "--encrypt",
        "strict",
        "--certificate-out",
        &authority.path(),
    ])?;
    let before = trial.draw.number(0..=2);
    trial.healthy_by(before, &STRICT, |login| {
        login.encrypt = Encrypt::Strict;
        login.certificate = Some(authority.0.clone());
    })?;
    let driver = trial.driver(&ALL);
    let mut login = trial.encrypted(driver);
    login.timeout = 8;
    trial.goes_wrong(driver, &login)
}

/// A file with a certificate, gone afterwards.
struct Authority(PathBuf);

impl Authority {
    fn new(trial: &Trial<'_>) -> Self {
        let name = format!(
            "tds-tracer-lab-{}.{}.pem",
            std::process::id(),
            trial.place.name()
        );
        Self(std::env::temp_dir().join(name))
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        // In a temporary directory, where what is left behind does no harm.
        std::fs::remove_file(&self.0).ok();
    }
}
