//! Logins by NTLM: who, to which domain, and how long its controller was waited for.

use harness::capture::Segment;
use harness::drivers::{Driver, Encrypt};
use harness::expect::{Shape, close_enough};
use harness::{driver_or_skip, root_or_skip};
use serde_json::{Value, json};

use super::{CLEAR, WRAPPED};
use crate::run::{Path, Run, Server, observe_driver_with};

/// How long the server takes over the client's response, in nanoseconds.
const DELAY: u64 = 100_000_000;

/// One login, whose names are told or not.
fn by_ntlm(driver: Driver, encrypt: &str, identities: &str) -> Run {
    let arguments = ["--encrypt", encrypt, "--auth", "ntlm"];
    let server = Server::Scenario(&[&arguments[..], &["--delay-at", "auth=100"]].concat());
    let options = ["--identities", identities];
    let off = Encrypt::Off;
    observe_driver_with(Path::Client, &server, &options, driver, off, |login| {
        r"LAB\alice".clone_into(&mut login.user);
        login.auth = "ntlm";
    })
}

/// The login succeeded in one round, and these are the names in its messages.
fn assert_told(run: &Run, encrypt: &str, names: &Value) {
    let (encryption, phases, shape) = match encrypt {
        "off" => ("login_only", &WRAPPED[..], Shape::Wrapped),
        _ => ("none", &CLEAR[..], Shape::Clear),
    };
    run.assert_success(encryption);
    run.assert_phases(phases, true);
    run.assert_captured_rounds(shape, 1);
    let mut auth = run.value("/auth").clone();
    let waited = auth["controller_ns"].take().as_u64().unwrap();
    let expected = json!({ "kind": "ntlm", "rounds": 1, "controller_ns": null, "ntlm": names });
    assert_eq!(auth, expected, "{:#}", run.login);
    let captured = controller(&run.segments);
    assert!(
        waited >= DELAY && close_enough(waited, captured),
        "waited {captured} ns by the capture, {waited} ns by the agent"
    );
}

/// From the client's response to the server's answer.
fn controller(segments: &[Segment]) -> u64 {
    let is_response = |segment: &Segment| {
        let mut parts = segment.payload.windows(9);
        segment.from_client && parts.any(|part| part == b"NTLMSSP\0\x03")
    };
    let at = segments.iter().position(is_response).unwrap();
    let mut later = segments[at..].iter();
    let answer = later.find(|segment| !segment.from_client && !segment.payload.is_empty());
    answer.unwrap().at_ns - segments[at].at_ns
}

fn workstation() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    name.trim().split('.').next().unwrap().to_owned()
}

#[test]
fn ntlm_tells_names_and_the_wait_for_the_controller() {
    root_or_skip!("NTLM tells names and the wait for the controller");
    let names = json!({
        "version": 2,
        "null_credentials": false,
        "domain": "LAB",
        "user": "alice",
        "workstation": workstation(),
        "target_domain": "lab.test",
        "target_computer": "scenario.lab.test",
    });
    for driver in [Driver::Tsql, Driver::Pymssql] {
        driver_or_skip!(driver);
        for encrypt in ["off", "not-sup"] {
            assert_told(&by_ntlm(driver, encrypt, "show"), encrypt, &names);
        }
    }
}

#[test]
fn ntlm_names_nobody_unless_asked_to() {
    root_or_skip!("NTLM names nobody unless asked to");
    driver_or_skip!(Driver::Tsql);
    let names = json!({ "version": 2, "null_credentials": false });
    assert_told(&by_ntlm(Driver::Tsql, "off", "hide"), "off", &names);
}

#[test]
fn a_response_in_a_packet_of_the_logins_type_is_withheld_whole() {
    root_or_skip!("a response in a packet of the login's type is withheld whole");
    driver_or_skip!(Driver::PythonTds);
    // It could be the rest of a login whose first packet alone was encrypted: a ticket or a token.
    let names = json!({ "target_domain": "lab.test", "target_computer": "scenario.lab.test" });
    let run = by_ntlm(Driver::PythonTds, "off", "show");
    assert_told(&run, "off", &names);
}
