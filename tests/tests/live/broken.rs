//! Logins that nobody decides: refused, unanswered, given up, cut off.

use std::time::Duration;

use harness::drivers::{Driver, Encrypt};
use harness::expect::Shape;
use harness::net::BLACK_HOLE_V4;
use harness::{driver_or_skip, root_or_skip};

use crate::run::{PORT, Path, Server, observe_driver, observe_raw, observe_raw_to};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_refused_connection() {
    root_or_skip!("a refused connection");
    for path in [Path::Client, Path::ClientV6, Path::Loopback] {
        let run = observe_raw(path, &Server::Absent, SOON, &[]);
        assert!(!run.fared.ok);
        run.assert_outcome("refused", None);
        run.assert_phases(&["handshake"], false);
        run.assert_close("server", "rst", "abnormal");
        let captured = run.segments[1].at_ns - run.segments[0].at_ns;
        let told = run.value("/login/duration_ns").as_u64().unwrap();
        assert!(
            harness::expect::close_enough(told, captured),
            "{captured} ns: {:#}",
            run.login
        );
    }
}

#[test]
fn a_syn_that_vanishes() {
    root_or_skip!("a SYN that vanishes");
    let address = format!("{BLACK_HOLE_V4}:{PORT}");
    // Long enough for the kernel's second repeat, 3 s after the first SYN.
    let limit = Duration::from_secs(90);
    let run = observe_raw_to(Path::Client, &Server::Absent, limit, &address, &[]);
    assert!(!run.fared.ok);
    assert_eq!(
        run.value("/login/outcome"),
        "unreachable",
        "{:#}",
        run.login
    );
    run.assert_eq("/server/address", BLACK_HOLE_V4);
    run.assert_phases(&["handshake"], false);
    let repeats = run.segments.len() - 1;
    assert!(repeats >= 2, "the client did not try again");
    run.assert_eq("/tcp/syn_retransmits", repeats);
    let captured = run.segments[repeats].at_ns - run.segments[0].at_ns;
    let told = run.value("/login/duration_ns").as_u64().unwrap();
    assert!(
        harness::expect::close_enough(told, captured),
        "{captured} ns: {:#}",
        run.login
    );
}

#[test]
fn a_server_that_accepts_and_never_answers() {
    root_or_skip!("a server that accepts and never answers");
    driver_or_skip!(Driver::Tsql);
    for step in ["accept", "prelogin"] {
        let server = Server::Scenario(&["--encrypt", "off", "--silent-at", step]);
        let run = observe_driver(Path::Client, &server, Driver::Tsql, Encrypt::Off, |login| {
            login.timeout = 3;
        });
        assert!(!run.fared.ok);
        run.assert_outcome("timeout", None);
        run.assert_phases(&["handshake", "prelogin"], false);
        run.assert_captured_until(Shape::Wrapped, "prelogin");
        assert!(
            run.duration() >= Duration::from_millis(2500),
            "{:#}",
            run.login
        );
        assert_eq!(run.close["close"]["by"], "client", "{:#}", run.close);
    }
}

#[test]
fn a_server_that_goes_silent_after_the_login_packet() {
    root_or_skip!("a server that goes silent after the login packet");
    driver_or_skip!(Driver::Tsql);
    let server = Server::Scenario(&["--encrypt", "off", "--silent-at", "login"]);
    let run = observe_driver(Path::Client, &server, Driver::Tsql, Encrypt::Off, |login| {
        login.timeout = 3;
    });
    run.assert_outcome("timeout", Some("login_only"));
    run.assert_phases(&["handshake", "prelogin", "tls", "login"], false);
    run.assert_captured_until(Shape::Wrapped, "login");
}

#[test]
fn a_client_that_resets() {
    root_or_skip!("a client that resets");
    let server = Server::Scenario(&["--encrypt", "off", "--silent-at", "prelogin"]);
    let run = observe_raw(
        Path::Client,
        &server,
        SOON,
        &["--send", "prelogin", "--end", "rst"],
    );
    run.assert_outcome("reset", None);
    run.assert_phases(&["handshake", "prelogin"], false);
    run.assert_captured_until(Shape::Wrapped, "prelogin");
    run.assert_close("client", "rst", "abnormal");
    assert_eq!(run.close["close"]["phase"], "prelogin", "{:#}", run.close);
}

#[test]
fn a_server_that_resets() {
    root_or_skip!("a server that resets");
    driver_or_skip!(Driver::Tsql);
    let server = Server::Scenario(&["--encrypt", "off", "--reset-at", "login"]);
    let run = observe_driver(Path::Client, &server, Driver::Tsql, Encrypt::Off, |_| {});
    run.assert_outcome("reset", Some("login_only"));
    run.assert_phases(&["handshake", "prelogin", "tls", "login"], false);
    run.assert_captured_until(Shape::Wrapped, "login");
    run.assert_close("server", "rst", "abnormal");
}

#[test]
fn a_server_that_closes() {
    root_or_skip!("a server that closes");
    driver_or_skip!(Driver::Tsql);
    for (step, outcome, phases) in [
        ("prelogin", "closed", &["handshake", "prelogin"][..]),
        ("tls", "tls_failed", &["handshake", "prelogin", "tls"][..]),
        (
            "login",
            "closed",
            &["handshake", "prelogin", "tls", "login"][..],
        ),
    ] {
        let server = Server::Scenario(&["--encrypt", "off", "--close-at", step]);
        let run = observe_driver(Path::Client, &server, Driver::Tsql, Encrypt::Off, |_| {});
        assert_eq!(run.value("/login/outcome"), outcome, "{:#}", run.login);
        run.assert_phases(phases, false);
        run.assert_captured_until(Shape::Wrapped, step);
        assert_eq!(run.close["close"]["by"], "server", "{:#}", run.close);
    }
}

#[test]
fn a_client_that_leaves_without_a_word() {
    root_or_skip!("a client that leaves without a word");
    let server = Server::Scenario(&["--encrypt", "off"]);
    for words in ["nothing", "http"] {
        let run = observe_raw(Path::Client, &server, SOON, &["--send", words]);
        assert_eq!(run.value("/login/outcome"), "aborted", "{:#}", run.login);
        run.assert_phases(&["handshake", "prelogin"], false);
        run.assert_captured_until(Shape::Wrapped, "prelogin");
    }
}
