//! Logins by a Kerberos ticket, which a KDC of the test's own has given.

use std::time::Duration;

use harness::drivers::{Driver, Encrypt};
use harness::expect::Shape;
use harness::kdc::{Kdc, Key};
use harness::{driver_or_skip, kdc_or_skip, root_or_skip};
use serde_json::json;

use super::{CLEAR, WRAPPED};
use crate::run::{Path, Run, Server, observe_driver};

/// How long the server takes over a ticket, in milliseconds.
const DELAY: u64 = 100;

/// One login by ticket.
fn by_ticket(kdc: &Kdc, key: Key, driver: Driver, encrypt: &str) -> Run {
    let delay = format!("auth={DELAY}");
    let arguments = ["--encrypt", encrypt, "--delay-at", &delay];
    let server = Server::Kerberos(kdc, key, &arguments);
    observe_driver(Path::Client, &server, driver, Encrypt::Off, |login| {
        login.by_ticket(kdc);
    })
}

/// The ticket's answer ended `login`, and the server was waited for in `auth`.
fn assert_answered(run: &Run, phases: &[&str], shape: Shape) {
    // Both send the ticket bare: nothing is offered.
    run.assert_eq("/auth", json!({ "kind": "kerberos", "rounds": 1 }));
    run.assert_phases(phases, true);
    run.assert_captured_rounds(shape, 1);
    assert_waited(run, "auth");
}

fn assert_waited(run: &Run, phase: &str) {
    let waited = run.value(&format!("/phases/{phase}/server_ns"));
    let waited = waited.as_u64().unwrap();
    assert!(
        Duration::from_nanos(waited) >= Duration::from_millis(DELAY - 5),
        "the server's wait is not seen: {:#}",
        run.login
    );
}

#[test]
fn a_login_by_kerberos() {
    root_or_skip!("a login by Kerberos");
    kdc_or_skip!();
    let kdc = Kdc::start().unwrap();
    for driver in [Driver::Tsql, Driver::Odbc] {
        driver_or_skip!(driver);
        let run = by_ticket(&kdc, Key::Current, driver, "not-sup");
        run.assert_success("none");
        assert_answered(&run, &CLEAR, Shape::Clear);
        let run = by_ticket(&kdc, Key::Current, driver, "off");
        run.assert_success("login_only");
        assert_answered(&run, &WRAPPED, Shape::Wrapped);
    }
}

#[test]
fn a_login_by_a_ticket_longer_than_a_packet() {
    root_or_skip!("a login by a ticket longer than a packet");
    kdc_or_skip!();
    driver_or_skip!(Driver::Tsql);
    // The name is in the ticket and in the authenticator.
    let kdc = Kdc::start_for(&"a".repeat(2000)).unwrap();
    for (encrypt, encryption, phases, shape) in [
        ("not-sup", "none", &CLEAR[..], Shape::Clear),
        ("off", "login_only", &WRAPPED[..], Shape::Wrapped),
    ] {
        let run = by_ticket(&kdc, Key::Current, Driver::Tsql, encrypt);
        run.assert_success(encryption);
        assert_answered(&run, phases, shape);
    }
}

#[test]
fn a_login_by_kerberos_in_the_dark() {
    root_or_skip!("a login by Kerberos in the dark");
    kdc_or_skip!();
    let kdc = Kdc::start().unwrap();
    for driver in [Driver::Tsql, Driver::Odbc] {
        driver_or_skip!(driver);
        let run = by_ticket(&kdc, Key::Current, driver, "on");
        run.assert_success("full");
        // Which mechanism it was, and that there was a round, is inside TLS.
        run.assert_eq("/auth/kind", "unknown");
        run.assert_phases(&WRAPPED[..4], true);
        run.assert_captured(Shape::Wrapped);
        assert_waited(&run, "login");
    }
}

#[test]
fn a_ticket_that_the_servers_key_does_not_open() {
    root_or_skip!("a ticket that the server's key does not open");
    kdc_or_skip!();
    driver_or_skip!(Driver::Tsql);
    let kdc = Kdc::start().unwrap();
    for (encrypt, encryption, phases, shape) in [
        ("not-sup", "none", &CLEAR[..3], Shape::Clear),
        ("off", "login_only", &WRAPPED[..4], Shape::Wrapped),
    ] {
        let run = by_ticket(&kdc, Key::Former, Driver::Tsql, encrypt);
        assert!(!run.fared.ok);
        run.assert_outcome("failed", Some(encryption));
        run.assert_eq("/login/basis", "observed");
        run.assert_eq("/login/error/number", 18452);
        run.assert_eq("/login/error/state", 1);
        run.assert_eq("/login/error/class", 14);
        run.assert_phases(phases, true);
        run.assert_captured(shape);
        // Inside TLS the ticket is not seen, and a refusal answers it with no token.
        let kind = if encryption == "none" {
            "kerberos"
        } else {
            "unknown"
        };
        run.assert_eq("/auth/kind", kind);
    }
}
