//! The phases of a login that is let in, to the capture's times, wherever it is seen.

use harness::drivers::{Driver, Encrypt};
use harness::expect::Shape;
use harness::{driver_or_skip, root_or_skip};

use crate::run::{Path, Server, observe_driver};
use crate::said::{CLEAR, WRAPPED};

fn clear(path: Path) {
    let server = Server::Scenario(&["--encrypt", "not-sup"]);
    let run = observe_driver(path, &server, Driver::Tsql, Encrypt::Off, |_| {});
    run.assert_success("none");
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
    run.assert_success("login_only");
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
fn a_login_that_alone_is_encrypted() {
    root_or_skip!("a login that alone is encrypted");
    driver_or_skip!(Driver::Tsql);
    login_only(Path::Client);
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
    run.assert_success("login_only");
    run.assert_phases(&WRAPPED, true);
    run.assert_captured(Shape::Wrapped);
    // Both sockets are of this kernel: the client's process is the one that is told.
    run.assert_eq("/process/name", "tsql");
}
