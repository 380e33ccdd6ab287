//! What goes wrong on command goes wrong for every driver, at every step.

use std::time::{Duration, Instant};

use harness::drivers::{Driver, Encrypt, Errand, Fared, Login};
use harness::peer::Peer;

use Driver::{MssqlTds, Odbc, Pymssql, PythonTds, Tiberius, Tsql};

use super::{available, login, server};

/// Steps of a login by password, the first command included.
const BY_PASSWORD: [&str; 5] = ["accept", "prelogin", "tls", "login", "command"];

/// A login to a server that does something at a step; at `auth` by NTLM, which has one.
fn at(driver: Driver, fault: &str, step: &str, prepare: impl Fn(&mut Login)) -> (Peer, Fared) {
    let by_ntlm: &[&str] = match step.split('=').next() {
        Some("auth") => &["--auth", "ntlm"],
        _ => &[],
    };
    let server = server(&[&["--encrypt", "off", fault, step][..], by_ntlm].concat());
    let mut login = login(&server, Encrypt::Off);
    if !by_ntlm.is_empty() {
        login.auth = "ntlm";
        r"LAB\alice".clone_into(&mut login.user);
    }
    prepare(&mut login);
    let fared = driver.run(None, &login).unwrap();
    (server, fared)
}

#[test]
fn a_delay_is_as_long_as_told_at_every_step() {
    for driver in available(&[Tsql, PythonTds]) {
        for step in [&BY_PASSWORD[..], &["auth"]].concat() {
            let start = Instant::now();
            let (_, fared) = at(driver, "--delay-at", &format!("{step}=700"), |_| {});
            assert!(fared.ok, "{driver:?} delayed at {step}: {}", fared.output);
            assert!(
                start.elapsed() >= Duration::from_millis(700),
                "no delay at {step}"
            );
        }
    }
}

#[test]
fn a_server_that_closes_or_resets_ends_the_conversation() {
    for (drivers, steps) in [
        ([Tsql, Tiberius], &BY_PASSWORD[..]),
        ([Tsql, PythonTds], &["auth"]),
    ] {
        for driver in available(&drivers) {
            for how in ["--close-at", "--reset-at"] {
                for step in steps {
                    let (mut server, fared) = at(driver, how, step, |_| {});
                    assert!(!fared.ok, "{driver:?} {how} {step}: {}", fared.output);
                    server.wait_line("as planned").unwrap();
                }
            }
        }
    }
}

#[test]
fn a_silent_server_is_given_up_at_every_step() {
    // tsql waits for ever, ODBC does inside TLS, and all but these for an answer to an attention.
    for (drivers, steps) in [
        ([Pymssql, Odbc], &["accept", "prelogin", "login"][..]),
        ([Pymssql, PythonTds], &["tls", "auth"]),
        ([MssqlTds, PythonTds], &["command"]),
    ] {
        for driver in available(&drivers) {
            for step in steps {
                gives_up(driver, step);
            }
        }
    }
}

fn gives_up(driver: Driver, step: &str) {
    let start = Instant::now();
    let (mut server, fared) = at(driver, "--silent-at", step, |login| {
        login.timeout = 2;
        if step == "command" {
            login.errand = Errand::TimeOut;
        }
    });
    assert!(!fared.ok, "{driver:?} at {step}: {}", fared.output);
    let took = start.elapsed();
    assert!(
        // python-tds gives a try 8 % of its time. What takes long is ended by the harness.
        (Duration::from_millis(160)..Duration::from_secs(20)).contains(&took),
        "{driver:?} gave up after {took:?} at {step}: {}",
        fared.output
    );
    server.wait_line("silent until the client left").unwrap();
}
