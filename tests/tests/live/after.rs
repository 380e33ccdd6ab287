//! Logins that go on: by token, into MARS, into requests that are counted.

use harness::agent::of;
use harness::drivers::{Driver, Encrypt, Errand, PASSWORD};
use harness::expect::Shape;
use harness::{driver_or_skip, root_or_skip};

use crate::run::{Path, Server, observe_driver};

#[test]
fn a_token_fetched_on_demand_is_a_wait_for_the_client() {
    root_or_skip!("a token fetched on demand is a wait for the client");
    for (driver, encrypt, encryption, kind) in [
        (Driver::MssqlTds, Encrypt::Off, "login_only", "entra"),
        // Has no such encryption, and inside TLS the token is not seen.
        (Driver::Tedious, Encrypt::On, "full", "unknown"),
    ] {
        driver_or_skip!(driver);
        let server = Server::Scenario(&["--encrypt", "off", "--auth", "fedauth"]);
        let run = observe_driver(Path::Client, &server, driver, encrypt, |login| {
            login.auth = "token-on-demand";
            // As long as they are, which tells one inside TLS.
            login.password = PASSWORD.repeat(200);
        });
        run.assert_outcome("success", Some(encryption));
        run.assert_eq("/auth/kind", kind);
        run.assert_eq("/tds/fedauth_required", true);
        run.assert_phases(&["handshake", "prelogin", "tls", "login", "auth"], true);
        run.assert_captured_rounds(Shape::Wrapped, 1);
    }
}

#[test]
fn sessions_of_mars_are_told_apart() {
    root_or_skip!("sessions of MARS are told apart");
    for driver in [Driver::PythonTds, Driver::Odbc] {
        driver_or_skip!(driver);
        let server = Server::Scenario(&["--encrypt", "off", "--mars"]);
        let run = observe_driver(Path::Client, &server, driver, Encrypt::Off, |login| {
            login.mars = true;
        });
        run.assert_outcome("success", Some("login_only"));
        run.assert_eq("/tds/mars", true);
        run.assert_captured(Shape::Wrapped);
        let sessions = run.close["mars"]["sessions"].as_u64().unwrap();
        assert!(sessions >= 2, "{driver:?}: {:#}", run.close);
        assert_eq!(
            of(&run.events, "mars").len() as u64,
            sessions,
            "{driver:?}: {:#?}",
            run.events
        );
    }
}

#[test]
fn requests_are_counted_by_kind() {
    root_or_skip!("requests are counted by kind");
    driver_or_skip!(Driver::PythonTds);
    let server = Server::Scenario(&["--encrypt", "not-sup"]);
    for (errand, kind) in [(Errand::TimeOut, "attention"), (Errand::BulkLoad, "bulk")] {
        let run = observe_driver(
            Path::Client,
            &server,
            Driver::PythonTds,
            Encrypt::None,
            |login| {
                login.errand = errand;
            },
        );
        run.assert_outcome("success", Some("none"));
        run.assert_captured(Shape::Clear);
        assert_eq!(
            run.close["requests"][kind], 1,
            "{errand:?}: {:#}",
            run.close
        );
        assert!(
            run.close["requests"]["batch"].as_u64() >= Some(2),
            "{errand:?}: {:#}",
            run.close
        );
    }
}
