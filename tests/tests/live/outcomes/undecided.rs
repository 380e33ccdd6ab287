//! Logins that nobody decides: refused, unanswered, given up, cut off.

use std::time::Duration;

use harness::drivers::{Driver, Encrypt, Login};
use harness::expect::Shape;
use harness::net::BLACK_HOLE_V4;
use harness::{driver_or_skip, root_or_skip};

use crate::run::{PORT, Path, Run, Server, observe_driver, observe_raw, observe_raw_to};

const SOON: Duration = Duration::from_secs(20);
const PHASES: [&str; 5] = ["handshake", "prelogin", "tls", "login", "auth"];

fn by_ntlm(login: &mut Login) {
    login.auth = "ntlm";
    r"LAB\alice".clone_into(&mut login.user);
}

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

/// A login by a driver that gives up after three seconds, to a server silent at this step.
fn given_up(step: &str, prepare: impl FnOnce(&mut Login)) -> Run {
    let auth = if step == "auth" { "ntlm" } else { "sql" };
    let arguments = ["--encrypt", "off", "--silent-at", step, "--auth", auth];
    let server = Server::Scenario(&arguments);
    // tsql waits for ever.
    let driver = Driver::Pymssql;
    let run = observe_driver(Path::Client, &server, driver, Encrypt::Off, |login| {
        login.timeout = 3;
        prepare(login);
    });
    assert!(!run.fared.ok);
    let patience = Duration::from_millis(2500)..Duration::from_secs(6);
    assert!(patience.contains(&run.duration()), "{:#}", run.login);
    assert_eq!(run.close["close"]["by"], "client", "{:#}", run.close);
    run
}

#[test]
fn a_server_that_accepts_and_never_answers() {
    root_or_skip!("a server that accepts and never answers");
    driver_or_skip!(Driver::Pymssql);
    for step in ["accept", "prelogin"] {
        let run = given_up(step, |_| {});
        run.assert_outcome("timeout", None);
        run.assert_phases(&["handshake", "prelogin"], false);
        run.assert_captured_until(Shape::Wrapped, "prelogin");
    }
}

#[test]
fn a_server_that_goes_silent_after_the_login_packet() {
    root_or_skip!("a server that goes silent after the login packet");
    driver_or_skip!(Driver::Pymssql);
    let run = given_up("login", |_| {});
    run.assert_outcome("timeout", Some("login_only"));
    run.assert_phases(&PHASES[..4], false);
    run.assert_captured_until(Shape::Wrapped, "login");
}

#[test]
fn a_server_that_goes_silent_during_authentication() {
    root_or_skip!("a server that goes silent during authentication");
    driver_or_skip!(Driver::Pymssql);
    let run = given_up("auth", by_ntlm);
    run.assert_outcome("timeout", Some("login_only"));
    run.assert_phases(&PHASES, false);
    run.assert_captured_until(Shape::Wrapped, "auth");
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
    run.assert_phases(&PHASES[..4], false);
    run.assert_captured_until(Shape::Wrapped, "login");
    run.assert_close("server", "rst", "abnormal");
    assert_eq!(run.close["close"]["phase"], "login", "{:#}", run.close);
}

#[test]
fn a_server_that_closes() {
    root_or_skip!("a server that closes");
    driver_or_skip!(Driver::Tsql);
    for (step, outcome, phases) in [
        ("prelogin", "closed", &PHASES[..2]),
        ("tls", "tls_failed", &PHASES[..3]),
        ("login", "closed", &PHASES[..4]),
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
fn a_server_that_leaves_during_authentication() {
    root_or_skip!("a server that leaves during authentication");
    driver_or_skip!(Driver::Tsql);
    for (fault, outcome, how) in [
        ("--reset-at", "reset", "rst"),
        ("--close-at", "closed", "fin"),
    ] {
        let server = Server::Scenario(&["--encrypt", "off", "--auth", "ntlm", fault, "auth"]);
        let run = observe_driver(Path::Client, &server, Driver::Tsql, Encrypt::Off, by_ntlm);
        run.assert_outcome(outcome, Some("login_only"));
        run.assert_phases(&PHASES, false);
        run.assert_captured_until(Shape::Wrapped, "auth");
        run.assert_close("server", how, "abnormal");
        assert_eq!(run.close["close"]["phase"], "auth", "{:#}", run.close);
    }
}
