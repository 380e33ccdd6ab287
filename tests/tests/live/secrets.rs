//! Secrets that a client sends for everyone to read. Of every run the agent's lines, its log, its
//! memory and its ring are searched; here the cable is too, so that there was something to find.

use harness::drivers::{Driver, Encrypt, Login, PASSWORD};
use harness::secrets::{self, Needle};
use harness::{driver_or_skip, root_or_skip};
use serde_json::json;

use crate::run::{Path, Run, Server, observe_driver};

/// A login without encryption that succeeds, with its secret on the cable in this form.
fn in_clear(driver: Driver, auth: &str, form: &str, prepare: impl FnOnce(&mut Login)) -> Run {
    let server = Server::Scenario(&["--encrypt", "not-sup", "--auth", auth]);
    let run = observe_driver(Path::Client, &server, driver, Encrypt::Off, prepare);
    assert!(run.fared.ok, "{driver:?}: {}", run.fared.output);
    run.assert_outcome("success", Some("none"));
    let payloads = run.segments.iter().map(|segment| &segment.payload[..]);
    let cable = payloads.collect::<Vec<_>>().concat();
    let needles = Needle::of(PASSWORD);
    assert_eq!(secrets::found(&needles, &cable), [form], "{driver:?}");
    run
}

#[test]
fn a_password_in_clear() {
    root_or_skip!("a password in clear");
    for driver in [Driver::Odbc, Driver::PythonTds] {
        driver_or_skip!(driver);
        in_clear(driver, "sql", "as in LOGIN7", |_| {});
    }
}

#[test]
fn a_new_password_in_clear() {
    root_or_skip!("a new password in clear");
    driver_or_skip!(Driver::Odbc);
    for (old, new) in [("was", PASSWORD), (PASSWORD, "is"), (PASSWORD, PASSWORD)] {
        let run = in_clear(Driver::Odbc, "sql", "as in LOGIN7", |login| {
            login.old_password = Some(old.to_owned());
            new.clone_into(&mut login.password);
        });
        run.assert_eq("/login/password_change", true);
    }
}

#[test]
fn a_token_in_a_login_in_clear() {
    root_or_skip!("a token in a login in clear");
    for driver in [Driver::MssqlTds, Driver::Odbc] {
        driver_or_skip!(driver);
        // In one packet, and in several.
        for times in [1, 800] {
            let run = in_clear(driver, "fedauth", "UTF-16", |login| {
                login.auth = "token";
                login.password = PASSWORD.repeat(times);
            });
            run.assert_eq("/auth", json!({ "kind": "entra" }));
        }
    }
}

#[test]
fn a_token_on_demand_in_clear() {
    root_or_skip!("a token on demand in clear");
    driver_or_skip!(Driver::MssqlTds);
    for times in [1, 800] {
        let run = in_clear(Driver::MssqlTds, "fedauth", "UTF-16", |login| {
            login.auth = "token-on-demand";
            login.password = PASSWORD.repeat(times);
        });
        run.assert_eq("/auth/kind", "entra");
        run.assert_eq("/auth/rounds", 1);
    }
}
