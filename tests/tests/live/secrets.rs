//! Secrets that a client sends for everyone to read. Of every run the agent's lines, its log, its
//! memory and its ring are searched; here the cable is too, so that there was something to find.

use std::time::Duration;

use harness::agent::Agent;
use harness::drivers::{Driver, Encrypt, Login, PASSWORD};
use harness::net::Namespace;
use harness::peer::workspace;
use harness::process::Running;
use harness::secrets::{self, Needle};
use harness::{driver_or_skip, root_or_skip};
use serde_json::json;

use crate::run::{PORT, Path, Run, Server, alone, observe_driver};

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

/// What `marked.py` fills connections with: so short that it is in whatever is told of that.
const MARKER: &str = "Qz#7Xv!9";
/// Connections that it makes.
const MARKED: usize = 84;

#[test]
fn what_is_not_wanted_of_connections_cut_and_joined_anywhere() {
    root_or_skip!("what is not wanted of connections cut and joined anywhere");
    let _alone = alone();
    let port = PORT.to_string();
    // In a table that is full, connections come anew in the middle of a result.
    for flows in ["65536", "16"] {
        let host = Namespace::new("m").unwrap();
        let mut marked = host.command("python3");
        marked.arg(workspace().join("tests/drivers/marked.py"));
        let mut marked = Running::start_held(marked.args([port.as_str(), MARKER])).unwrap();
        let begun = |lines: &[String]| lines.iter().any(|line| line == "ready");
        assert!(
            marked.wait_lines(Duration::from_secs(20), begun),
            "{}",
            marked.errors()
        );
        let mut agent = Agent::start(&host, &["--port", &port, "--max-flows", flows]).unwrap();
        let ended = marked.release().unwrap();
        assert!(ended.status.success(), "{}", ended.errors);
        let closes = agent
            .wait_for("close", MARKED, Duration::from_secs(20))
            .unwrap();
        assert!(closes.len() > MARKED / 2, "{} closes", closes.len());

        let needles = [Needle::plain(MARKER), Needle::utf16(MARKER)];
        secrets::assert_not_in_memory(agent.pid(), &needles);
        secrets::assert_not_in_maps(agent.pid(), &needles);
        let record = agent.stop().unwrap();
        let said = format!("{:?} {}", record.events, record.log);
        let found = secrets::found(&needles, said.as_bytes());
        assert_eq!(found, Vec::<&str>::new(), "{said}");
    }
}
