//! The harness itself, without an agent: what a capture of each run says is
//! what the scenario was meant to be, and nothing is left behind.

use std::process::Command;
use std::time::Duration;

use harness::capture::{Capture, Segment};
use harness::drivers::{Driver, Encrypt, Fared, Login};
use harness::expect::{Shape, last_reply, phases};
use harness::net::{BLACK_HOLE_V4, INTERFACE, Namespace, Network, SERVER_V4, SERVER_V6};
use harness::peer::{Peer, program};
use harness::process::run;
use harness::{driver_or_skip, root_or_skip};

const PORT: u16 = 1433;

/// What a client did and what was on the cable meanwhile.
fn captured(
    address: &str,
    arguments: Option<&[&str]>,
    client: impl FnOnce(&Namespace) -> Fared,
) -> (Fared, Vec<Segment>) {
    let network = Network::new().unwrap();
    let listen = if address.contains(':') {
        format!("[{address}]:{PORT}")
    } else {
        format!("{address}:{PORT}")
    };
    let loopback = address.starts_with("127.");
    let (host, interface) = if loopback {
        (&network.client, "lo")
    } else {
        (&network.server, INTERFACE)
    };
    let start = |arguments| {
        Peer::scenario(
            Some(host),
            &[&["--listen", &listen][..], arguments].concat(),
        )
        .unwrap()
    };
    let _peer = arguments.map(start);
    let capture = Capture::start(&network.client, interface, PORT).unwrap();
    let fared = client(&network.client);
    (fared, capture.stop().unwrap().segments().unwrap())
}

fn raw(host: &Namespace, address: &str, arguments: &[&str]) -> Fared {
    let mut command = host.command(program("raw-client").unwrap());
    command.arg(format!("{address}:{PORT}")).args(arguments);
    let (status, output) = run(&mut command, "", Duration::from_secs(40)).unwrap();
    Fared {
        ok: status.success(),
        output,
    }
}

#[test]
fn a_capture_shows_the_phases_of_a_login_and_its_delay() {
    root_or_skip!("a capture shows the phases of a login and its delay");
    for (address, encrypt, shape, driver) in [
        (SERVER_V4, "not-sup", Shape::Clear, Driver::Tsql),
        (SERVER_V6, "off", Shape::Wrapped, Driver::Tsql),
        ("127.0.0.1", "req", Shape::Wrapped, Driver::Tsql),
        (SERVER_V4, "req", Shape::Wrapped, Driver::Odbc),
        (SERVER_V4, "req", Shape::Wrapped, Driver::MssqlTds),
        (SERVER_V4, "off", Shape::Wrapped, Driver::PythonTds),
        (
            SERVER_V4,
            "strict",
            Shape::Strict { tickets: 0 },
            Driver::Tiberius,
        ),
    ] {
        if driver.missing() {
            continue;
        }
        let arguments = [
            "--encrypt",
            encrypt,
            "--tls-tickets",
            "0",
            "--delay-at",
            "login=200",
        ];
        let asked = if encrypt == "strict" {
            Encrypt::Strict
        } else {
            Encrypt::Off
        };
        let login = Login::to(address, PORT, asked);
        let (fared, segments) = captured(address, Some(&arguments), |host| {
            driver.run(Some(host), &login).unwrap()
        });
        assert!(fared.ok, "{}", fared.output);
        assert!(segments.iter().any(Segment::fin), "the end is not captured");
        let ends = phases(&segments, shape).unwrap();
        let [.., (_, from), (name, to)] = ends[..] else {
            panic!("{ends:?}")
        };
        let waited = Duration::from_nanos(to - from);
        assert_eq!(name, "login");
        assert!(waited >= Duration::from_millis(200), "{encrypt}: {ends:?}");
        assert!(waited < Duration::from_millis(400), "{encrypt}: {ends:?}");
        let opened = segments
            .iter()
            .filter(|segment| segment.syn() && segment.from_client)
            .count();
        assert_eq!(opened, 1, "a packet counts once, on loopback too");
    }
}

#[test]
fn a_round_of_ntlm_ends_after_its_delay() {
    root_or_skip!("a round of NTLM ends after its delay");
    driver_or_skip!(Driver::Tsql);
    let arguments = [
        "--encrypt",
        "off",
        "--auth",
        "ntlm",
        "--delay-at",
        "auth=200",
    ];
    let mut login = Login::to(SERVER_V4, PORT, Encrypt::Off);
    login.user = r"LAB\alice".to_owned();
    let (fared, segments) = captured(SERVER_V4, Some(&arguments), |host| {
        Driver::Tsql.run(Some(host), &login).unwrap()
    });
    assert!(fared.ok, "{}", fared.output);
    let (_, first) = *phases(&segments, Shape::Wrapped).unwrap().last().unwrap();
    let waited = Duration::from_nanos(last_reply(&segments, 1, Shape::Wrapped).unwrap() - first);
    assert!(
        waited >= Duration::from_millis(200) && waited < Duration::from_millis(400),
        "{waited:?}"
    );
}

#[test]
fn a_black_hole_answers_nothing() {
    root_or_skip!("a black hole answers nothing");
    let (fared, segments) = captured(SERVER_V4, None, |host| {
        let mut command = host.command("timeout");
        command
            .arg("2")
            .arg(program("raw-client").unwrap())
            .arg(format!("{BLACK_HOLE_V4}:{PORT}"));
        let (status, output) = run(&mut command, "", Duration::from_secs(10)).unwrap();
        Fared {
            ok: status.success(),
            output,
        }
    });
    assert!(!fared.ok);
    assert!(segments.len() >= 2, "{segments:?}");
    assert!(
        segments
            .iter()
            .all(|segment| segment.syn() && segment.from_client),
        "{segments:?}"
    );
}

#[test]
fn a_host_without_server_refuses_at_once() {
    root_or_skip!("a host without server refuses at once");
    let (fared, segments) = captured(SERVER_V4, None, |host| raw(host, SERVER_V4, &[]));
    assert!(
        !fared.ok && fared.output.contains("refused"),
        "{}",
        fared.output
    );
    assert!(
        segments[1].rst() && !segments[1].from_client,
        "{segments:?}"
    );
}

#[test]
fn a_planned_end_is_a_fin_or_a_reset_as_told() {
    root_or_skip!("a planned end is a FIN or a reset as told");
    for step in ["accept", "prelogin"] {
        for (how, reset) in [("--close-at", false), ("--reset-at", true)] {
            let (_, segments) = captured(SERVER_V4, Some(&[how, step]), |host| {
                raw(
                    host,
                    SERVER_V4,
                    &["--send", "prelogin", "--read", "--wait", "50"],
                )
            });
            let end = segments
                .iter()
                .find(|segment| segment.fin() || segment.rst())
                .unwrap();
            assert!(!end.from_client, "{how} {step}: {segments:?}");
            assert_eq!(end.rst(), reset, "{how} {step}: {segments:?}");
            assert_eq!(
                segments.iter().any(Segment::rst),
                reset,
                "{how} {step}: {segments:?}"
            );
        }
    }
}

#[test]
fn a_client_resets_when_told() {
    root_or_skip!("a client resets when told");
    let arguments = ["--encrypt", "off", "--silent-at", "prelogin"];
    let (_, segments) = captured(SERVER_V4, Some(&arguments), |host| {
        raw(host, SERVER_V4, &["--send", "prelogin", "--end", "rst"])
    });
    let last = segments.last().unwrap();
    assert!(last.rst() && last.from_client, "{segments:?}");
    assert!(
        segments
            .iter()
            .all(|segment| segment.from_client || segment.payload.is_empty()),
        "{segments:?}"
    );
}

#[test]
fn microsofts_mock_server_takes_its_clients() {
    for (mode, encrypt, driver) in [
        ("none", Encrypt::Off, Driver::MssqlTds),
        ("optional", Encrypt::On, Driver::MssqlTds),
        ("strict", Encrypt::Strict, Driver::Tiberius),
    ] {
        driver_or_skip!(driver);
        let server = Peer::mock(None, &["--mode", mode]).unwrap();
        let login = Login::to("127.0.0.1", server.address().port(), encrypt);
        let fared = driver.run(None, &login).unwrap();
        assert!(fared.ok, "{mode}, {driver:?}: {}", fared.output);
    }
}

#[test]
fn namespaces_are_gone_afterwards() {
    root_or_skip!("namespaces are gone afterwards");
    let listed = || {
        String::from_utf8(
            Command::new("ip")
                .args(["netns", "list"])
                .output()
                .unwrap()
                .stdout,
        )
        .unwrap()
    };
    let network = Network::new().unwrap();
    let name = network.client.name().to_owned();
    assert!(listed().contains(&name));
    drop(network);
    assert!(!listed().contains(&name));
}
