//! Connections that are encrypted in full, inside TDS and before it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::drivers::{Driver, Encrypt};
use harness::expect::Shape;
use harness::{driver_or_skip, root_or_skip};

use crate::run::{Path, Server, observe_driver};
use crate::said::{CLEAR, WRAPPED};

const STRICT: [&str; 4] = ["handshake", "tls", "prelogin", "login"];

#[test]
fn a_connection_encrypted_in_full() {
    root_or_skip!("a connection encrypted in full");
    for driver in [Driver::Tsql, Driver::Tiberius, Driver::Odbc] {
        driver_or_skip!(driver);
        let server = Server::Scenario(&["--encrypt", "on"]);
        let run = observe_driver(Path::Client, &server, driver, Encrypt::On, |_| {});
        run.assert_success("full");
        run.assert_phases(&WRAPPED, true);
        run.assert_captured(Shape::Wrapped);
    }
}

/// The client has the last word of the handshake, which only one of them wraps.
#[test]
fn a_connection_encrypted_in_full_by_tls_1_3() {
    root_or_skip!("a connection encrypted in full by TLS 1.3");
    for driver in [Driver::Odbc, Driver::Pymssql] {
        driver_or_skip!(driver);
        let server = Server::Scenario(&["--encrypt", "on", "--tls-max", "1.3"]);
        let run = observe_driver(Path::Client, &server, driver, Encrypt::On, |_| {});
        run.assert_success("full");
        run.assert_phases(&WRAPPED, true);
        run.assert_captured(Shape::WrappedTls13);
        run.assert_eq("/tls/version", "1.3");
    }
}

/// A login by TDS 8.0 and TLS 1.3, followed by so many session tickets.
fn strict(driver: Driver, tickets: usize) {
    let certificate = Certificate::new();
    let count = tickets.to_string();
    let arguments = ["--encrypt", "strict", "--tls-tickets", &count];
    let server = Server::Scenario(&[&arguments[..], &certificate.out()].concat());
    let run = observe_driver(Path::Client, &server, driver, Encrypt::Strict, |login| {
        login.certificate = Some(certificate.0.clone());
    });
    run.assert_success("strict");
    run.assert_phases(&STRICT, true);
    run.assert_captured(Shape::Strict { tickets });
    run.assert_eq("/tls/version", "1.3");
}

#[test]
fn a_connection_by_tds_8() {
    root_or_skip!("a connection by TDS 8.0");
    driver_or_skip!(Driver::Tiberius);
    strict(Driver::Tiberius, 0);
}

/// Which come before the client's PRELOGIN, after it or with its answer, as drivers differ.
#[test]
fn a_connection_by_tds_8_with_session_tickets() {
    root_or_skip!("a connection by TDS 8.0 with session tickets");
    for driver in [
        Driver::Tiberius,
        Driver::MssqlTds,
        Driver::Odbc,
        Driver::Pymssql,
    ] {
        driver_or_skip!(driver);
        strict(driver, 2);
    }
}

/// Where a server writes its certificate, which some clients insist on.
struct Certificate(PathBuf);

impl Certificate {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tdst-{}-{count}.pem", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// The server's argument.
    fn out(&self) -> [&str; 2] {
        ["--certificate-out", self.0.to_str().unwrap()]
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        // Some servers have none.
        std::fs::remove_file(&self.0).ok();
    }
}

#[test]
fn microsofts_mock_server_in_every_mode() {
    use Driver::{MssqlTds, Pymssql, Tiberius, Tsql};
    root_or_skip!("Microsoft's mock server in every mode");
    let none = ("none", "none", &CLEAR[..], Shape::Clear);
    let optional = ("optional", "full", &WRAPPED[..], Shape::Wrapped);
    let strict = ("strict", "strict", &STRICT[..], Shape::StrictTls12);
    for ((mode, encryption, phases, shape), driver, encrypt) in [
        (none, MssqlTds, Encrypt::Off),
        (none, Tiberius, Encrypt::None),
        (none, Tsql, Encrypt::Off),
        (none, Pymssql, Encrypt::Off),
        // Tiberius insists on TLS wrapped in packets of another type than the mock's.
        (optional, MssqlTds, Encrypt::On),
        (optional, Tsql, Encrypt::On),
        (optional, Pymssql, Encrypt::On),
        (strict, Tiberius, Encrypt::Strict),
        (strict, Pymssql, Encrypt::Strict),
    ] {
        driver_or_skip!(driver);
        let certificate = Certificate::new();
        let arguments = [["--mode", mode], certificate.out()].concat();
        let server = Server::Mock(&arguments);
        let run = observe_driver(Path::Client, &server, driver, encrypt, |login| {
            // Which FreeTDS insists on.
            login.certificate = (driver == Pymssql).then(|| certificate.0.clone());
        });
        run.assert_success(encryption);
        run.assert_phases(phases, true);
        run.assert_captured(shape);
    }
}
