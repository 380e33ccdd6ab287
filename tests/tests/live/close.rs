//! How a connection in use ends. Ends in the middle of a login are in `outcomes`, the end of a
//! connection that gave way in `loss`.

use harness::drivers::{Driver, Encrypt};
use harness::expect::Shape;
use harness::{driver_or_skip, root_or_skip};

use crate::run::{Path, Server, observe_driver};
use crate::said::WRAPPED;

#[test]
fn a_server_that_leaves_instead_of_an_answer() {
    root_or_skip!("a server that leaves instead of an answer");
    driver_or_skip!(Driver::Tsql);
    for (fault, how) in [("--reset-at", "rst"), ("--close-at", "fin")] {
        let server = Server::Scenario(&["--encrypt", "off", fault, "command"]);
        let run = observe_driver(Path::Client, &server, Driver::Tsql, Encrypt::Off, |_| {});
        assert!(!run.fared.ok);
        run.assert_outcome("success", Some("login_only"));
        run.assert_phases(&WRAPPED, true);
        run.assert_captured(Shape::Wrapped);
        run.assert_close("server", how, "abnormal");
    }
}
