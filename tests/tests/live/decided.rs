//! Logins that a server decides: let in, turned away or sent on.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::drivers::{Driver, Encrypt};
use harness::expect::Shape;
use harness::{driver_or_skip, root_or_skip};

use crate::run::{Path, Run, Server, observe_driver};

const CLEAR: [&str; 3] = ["handshake", "prelogin", "login"];
const WRAPPED: [&str; 4] = ["handshake", "prelogin", "tls", "login"];
const STRICT: [&str; 4] = ["handshake", "tls", "prelogin", "login"];

pub(crate) fn assert_success(run: &Run, encryption: &str) {
    assert!(
        run.fared.ok,
        "the client was not let in: {}",
        run.fared.output
    );
    run.assert_outcome("success", Some(encryption));
    let dark = matches!(encryption, "full" | "strict");
    run.assert_eq("/login/basis", if dark { "inferred" } else { "observed" });
    let confidence = run.value("/login/confidence").as_f64();
    assert_eq!(confidence.is_some(), dark, "{:#}", run.login);
    assert!(
        confidence.is_none_or(|confidence| confidence > 0.5 && confidence <= 1.0),
        "{:#}",
        run.login
    );
}

fn clear(path: Path) {
    let server = Server::Scenario(&["--encrypt", "not-sup"]);
    let run = observe_driver(path, &server, Driver::Tsql, Encrypt::Off, |_| {});
    assert_success(&run, "none");
    run.assert_phases(&CLEAR, true);
    run.assert_captured(Shape::Clear);
    run.assert_close("client", "fin", "normal");
    run.assert_eq("/auth/kind", "sql");
    run.assert_eq("/tds/version", "7.4");
}

fn login_only(path: Path) {
    let run = observe_driver(
        path,
        &Server::Scenario(&["--encrypt", "off"]),
        Driver::Tsql,
        Encrypt::Off,
        |_| {},
    );
    assert_success(&run, "login_only");
    run.assert_phases(&WRAPPED, true);
    run.assert_captured(Shape::Wrapped);
    run.assert_close("client", "fin", "normal");
    assert_eq!(run.value("/tls/version"), "1.2", "{:#}", run.login);
}

#[test]
fn a_login_without_encryption() {
    root_or_skip!("a login without encryption");
    driver_or_skip!(Driver::Tsql);
    clear(Path::Client);
}

#[test]
fn a_login_by_ipv6() {
    root_or_skip!("a login by IPv6");
    driver_or_skip!(Driver::Tsql);
    clear(Path::ClientV6);
    login_only(Path::ClientV6);
}

#[test]
fn a_login_over_loopback() {
    root_or_skip!("a login over loopback");
    driver_or_skip!(Driver::Tsql);
    clear(Path::Loopback);
    login_only(Path::LoopbackV6);
}

#[test]
fn a_login_seen_by_the_server() {
    root_or_skip!("a login seen by the server");
    driver_or_skip!(Driver::Tsql);
    let server = Server::Scenario(&["--encrypt", "off"]);
    let run = observe_driver(Path::Server, &server, Driver::Tsql, Encrypt::Off, |_| {});
    assert_success(&run, "login_only");
    run.assert_phases(&WRAPPED, true);
    run.assert_captured(Shape::Wrapped);
    // Both sockets are of this kernel: the client's process is the one that is told.
    run.assert_eq("/process/name", "tsql");
}

#[test]
fn a_login_that_alone_is_encrypted() {
    root_or_skip!("a login that alone is encrypted");
    driver_or_skip!(Driver::Tsql);
    login_only(Path::Client);
}

#[test]
fn a_connection_encrypted_in_full() {
    root_or_skip!("a connection encrypted in full");
    for driver in [Driver::Tsql, Driver::Tiberius, Driver::Odbc] {
        driver_or_skip!(driver);
        let server = Server::Scenario(&["--encrypt", "on"]);
        let run = observe_driver(Path::Client, &server, driver, Encrypt::On, |_| {});
        assert_success(&run, "full");
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
        assert_success(&run, "full");
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
    assert_success(&run, "strict");
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
        assert_success(&run, encryption);
        run.assert_phases(phases, true);
        run.assert_captured(shape);
    }
}

#[test]
fn a_login_that_is_refused() {
    root_or_skip!("a login that is refused");
    driver_or_skip!(Driver::Tsql);
    for (encrypt, encryption, phases, shape) in [
        ("not-sup", "none", &CLEAR[..], Shape::Clear),
        ("off", "login_only", &WRAPPED[..], Shape::Wrapped),
    ] {
        let server = Server::Scenario(&["--encrypt", encrypt, "--fail-login", "8"]);
        let run = observe_driver(Path::Client, &server, Driver::Tsql, Encrypt::Off, |_| {});
        assert!(!run.fared.ok);
        run.assert_outcome("failed", Some(encryption));
        run.assert_eq("/login/basis", "observed");
        run.assert_eq("/login/error/number", 18456);
        run.assert_eq("/login/error/state", 8);
        run.assert_eq("/login/error/class", 14);
        run.assert_phases(phases, true);
        run.assert_captured(shape);
    }
}

#[test]
fn a_login_that_is_refused_in_the_dark() {
    root_or_skip!("a login that is refused in the dark");
    driver_or_skip!(Driver::Tsql);
    let server = Server::Scenario(&["--encrypt", "on", "--fail-login", "8"]);
    let run = observe_driver(Path::Client, &server, Driver::Tsql, Encrypt::On, |_| {});
    run.assert_outcome("failed", Some("full"));
    run.assert_eq("/login/basis", "inferred");
    run.assert_phases(&WRAPPED, true);
    run.assert_captured(Shape::Wrapped);
}

#[test]
fn a_client_sent_on_to_another_server() {
    root_or_skip!("a client sent on to another server");
    driver_or_skip!(Driver::MssqlTds);
    // Nobody is there, on a port that is not watched.
    let server = Server::Scenario(&["--encrypt", "off", "--route", "10.87.0.2:1444"]);
    let run = observe_driver(
        Path::Client,
        &server,
        Driver::MssqlTds,
        Encrypt::Off,
        |_| {},
    );
    run.assert_outcome("redirected", Some("login_only"));
    run.assert_eq("/login/redirect/address", "10.87.0.2");
    run.assert_eq("/login/redirect/port", 1444);
    run.assert_phases(&WRAPPED, true);
    run.assert_captured(Shape::Wrapped);
}

#[test]
fn a_slow_server_is_who_was_waited_for() {
    root_or_skip!("a slow server is who was waited for");
    driver_or_skip!(Driver::Tsql);
    for (step, phase) in [("prelogin", "prelogin"), ("tls", "tls"), ("login", "login")] {
        let delay = format!("{step}=300");
        let server = Server::Scenario(&["--encrypt", "off", "--delay-at", &delay]);
        let run = observe_driver(Path::Client, &server, Driver::Tsql, Encrypt::Off, |_| {});
        assert_success(&run, "login_only");
        run.assert_phases(&WRAPPED, true);
        run.assert_captured(Shape::Wrapped);
        let waited = run
            .value(&format!("/phases/{phase}/server_ns"))
            .as_u64()
            .unwrap();
        assert!(
            Duration::from_nanos(waited) >= Duration::from_millis(295),
            "{phase}: {:#}",
            run.login
        );
    }
}
