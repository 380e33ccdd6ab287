//! Who was waited for. Waits for a token or a domain controller are in `authentication`, those for a
//! peer that never answers in `outcomes`.

use std::time::Duration;

use harness::drivers::{Driver, Encrypt};
use harness::expect::Shape;
use harness::{driver_or_skip, root_or_skip};

use crate::run::{Path, Server, observe_driver};
use crate::said::WRAPPED;

#[test]
fn a_slow_server_is_who_was_waited_for() {
    root_or_skip!("a slow server is who was waited for");
    driver_or_skip!(Driver::Tsql);
    for (step, phase) in [("prelogin", "prelogin"), ("tls", "tls"), ("login", "login")] {
        let delay = format!("{step}=300");
        let server = Server::Scenario(&["--encrypt", "off", "--delay-at", &delay]);
        let run = observe_driver(Path::Client, &server, Driver::Tsql, Encrypt::Off, |_| {});
        run.assert_success("login_only");
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
