//! Secrets that a client sends for everyone to read. Of every run the agent's lines, its log, its
//! memory and its ring are searched; here the cable is too, so that there was something to find.

use std::time::Duration;

use harness::agent::{AT_INTERFACES, Agent};
use harness::drivers::{Driver, Encrypt, Login, PASSWORD};
use harness::middle::Middle;
use harness::net::{Namespace, SERVER_V4};
use harness::peer::workspace;
use harness::process::Running;
use harness::secrets::{self, Needle};
use harness::{driver_or_skip, root_or_skip};
use serde_json::json;

use crate::run::{PORT, Path, Run, Server, alone, observe_driver};

/// How long what is due may take to come.
const LIMIT: Duration = Duration::from_mins(1);

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
/// Connections that it makes over loopback, and to another host.
const MARKED: [usize; 2] = [84, 21];

/// Lets `marked.py` fill connections while an agent with these options comes to watch them, and looks for what they
/// were filled with; `to` is another host and its address there.
fn marked(host: &Namespace, to: &[&str], options: &[&str]) {
    let port = PORT.to_string();
    let mut client = host.command("python3");
    client.arg(workspace().join("tests/drivers/marked.py"));
    client.args([&[port.as_str(), MARKER], to].concat());
    let mut client = Running::start_held(&mut client).unwrap();
    let begun = |lines: &[String]| lines.iter().any(|line| line == "ready");
    assert!(client.wait_lines(LIMIT, begun), "{}", client.errors());
    let mut agent = Agent::start(host, &[&["--port", &port], options].concat()).unwrap();
    let ended = client.release().unwrap();
    assert!(ended.status.success(), "{}", ended.errors);
    let count = MARKED[usize::from(!to.is_empty())];
    let closes = agent.wait_for("close", count, LIMIT).unwrap();
    assert!(closes.len() > count / 2, "{} closes", closes.len());

    let needles = [Needle::plain(MARKER), Needle::utf16(MARKER)];
    secrets::assert_not_in_memory(agent.pid(), &needles);
    secrets::assert_not_in_maps(agent.pid(), &needles);
    let record = agent.stop().unwrap();
    let said = format!("{:?} {}", record.events, record.log);
    let found = secrets::found(&needles, said.as_bytes());
    assert_eq!(found, Vec::<&str>::new(), "{said}");
}

#[test]
fn what_is_not_wanted_of_connections_cut_and_joined_anywhere() {
    root_or_skip!("what is not wanted of connections cut and joined anywhere");
    let _alone = alone();
    // In a table that is full, connections come anew in the middle of a result.
    for flows in ["65536", "16"] {
        let host = Namespace::new("m").unwrap();
        marked(&host, &[], &["--max-flows", flows]);
    }
}

#[test]
fn what_is_not_wanted_of_connections_whose_packets_come_twice_and_in_disorder() {
    root_or_skip!("what is not wanted of connections whose packets come twice and in disorder");
    let _alone = alone();
    for source in [&[][..], &AT_INTERFACES] {
        let (network, middle) = Middle::relay("disordered").unwrap();
        let to = [network.server.name(), SERVER_V4];
        marked(&network.client, &to, source);
        assert_eq!(middle.complaints(), "");
    }
}
