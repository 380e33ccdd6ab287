//! Logins that go on by token.

use harness::drivers::{Driver, Encrypt, PASSWORD};
use harness::expect::Shape;
use harness::{driver_or_skip, root_or_skip};

use super::WRAPPED;
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
        run.assert_phases(&WRAPPED, true);
        run.assert_captured_rounds(Shape::Wrapped, 1);
    }
}
