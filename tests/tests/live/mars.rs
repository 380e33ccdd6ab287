//! Sessions of MARS, by three drivers that have their own ideas of how to leave them; inside full
//! encryption by what each kind of cipher suite makes of the length of a record.

use harness::agent::of;
use harness::drivers::{Driver, Encrypt};
use harness::expect::Shape;
use harness::{driver_or_skip, root_or_skip};
use serde_json::{Value, json};

use crate::run::{Path, Run, Server, observe_driver};

/// One connection that asks in two sessions at once.
fn over_mars(driver: Driver, encrypt: &str, wish: Encrypt) -> Run {
    let server = Server::Scenario(&["--encrypt", encrypt, "--mars"]);
    let run = observe_driver(Path::Client, &server, driver, wish, |login| {
        login.mars = true;
    });
    assert!(run.fared.ok, "{driver:?}: {}", run.fared.output);
    run.assert_eq("/tds/mars", true);
    let class = &run.close["close"]["class"];
    assert_ne!(class, "abnormal", "{driver:?}: {:#}", run.close);
    run
}

/// What was said of each session, in the order of their ends: its id, requests, bytes of either
/// side, and who closed it.
fn sessions(run: &Run) -> Vec<Value> {
    let lines = of(&run.events, "mars");
    let sessions = lines.iter().map(|line| &line["mars"]);
    let told = sessions.map(|said| {
        assert_eq!(said["how"], "fin", "{said}");
        let bytes = &said["bytes"];
        let [client, server] = [&bytes["client"], &bytes["server"]];
        json!([
            said["sid"],
            said["requests"],
            client,
            server,
            said["closed_by"]
        ])
    });
    told.collect()
}

#[test]
fn sessions_of_mars_are_told_apart() {
    root_or_skip!("sessions of MARS are told apart");
    for (driver, most, requests, expected) in [
        // It opens and closes one for each cursor, and never the first.
        (
            Driver::PythonTds,
            3,
            json!({ "count": 3, "batch": 3, "rpc": 0 }),
            json!([
                [1, 1, 46, 47, "client"],
                [2, 1, 46, 47, "client"],
                [1, 1, 46, 47, "client"],
                [0, 0, 0, 0, null],
            ]),
        ),
        (
            Driver::Odbc,
            2,
            json!({ "count": 7, "batch": 3, "rpc": 4 }),
            json!([[1, 1, 46, 47, "client"], [0, 6, 552, 354, "client"]]),
        ),
        // It closes none: they end with the connection.
        (
            Driver::FreetdsOdbc,
            2,
            json!({ "count": 7, "batch": 7, "rpc": 0 }),
            json!([[0, 6, 412, 178, null], [1, 1, 46, 47, null]]),
        ),
    ] {
        driver_or_skip!(driver);
        let run = over_mars(driver, "off", Encrypt::Off);
        run.assert_captured(Shape::Wrapped);
        run.assert_outcome("success", Some("login_only"));
        let told = sessions(&run);
        assert_eq!(json!(told), expected, "{driver:?}");
        let summary = json!({ "sessions": told.len(), "max_concurrent": most, "resets": 0 });
        assert_eq!(run.close["mars"], summary, "{driver:?}: {:#}", run.close);
        for (kind, count) in requests.as_object().unwrap() {
            let said = &run.close["requests"][kind];
            assert_eq!(said, count, "{driver:?}, {kind}: {:#}", run.close);
        }
    }
}

#[test]
fn sessions_inside_tls_are_inferred_and_not_counted() {
    root_or_skip!("sessions inside TLS are inferred and not counted");
    for driver in [Driver::PythonTds, Driver::Odbc] {
        driver_or_skip!(driver);
        let run = over_mars(driver, "on", Encrypt::On);
        run.assert_outcome("success", Some("full"));
        let summary =
            json!({ "sessions": 1, "max_concurrent": 1, "resets": 0, "basis": "inferred" });
        assert_eq!(run.close["mars"], summary, "{driver:?}: {:#}", run.close);
        assert!(of(&run.events, "mars").is_empty(), "{:#?}", run.events);
    }
}

#[test]
fn sessions_inside_tls_show_by_the_sizes_of_records_whatever_the_cipher() {
    root_or_skip!("sessions inside TLS show by the sizes of records whatever the cipher");
    for driver in [Driver::Odbc, Driver::PythonTds] {
        driver_or_skip!(driver);
        for (list, name) in [
            ("AES128-GCM-SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256"),
            (
                "ECDHE-RSA-CHACHA20-POLY1305",
                "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            ),
            ("AES256-SHA", "TLS_RSA_WITH_AES_256_CBC_SHA"),
            (
                "ECDHE-RSA-AES128-SHA256",
                "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
            ),
        ] {
            let server = Server::Scenario(&["--encrypt", "on", "--mars", "--ciphers", list]);
            let run = observe_driver(Path::Client, &server, driver, Encrypt::On, |login| {
                login.mars = true;
            });
            run.assert_success("full");
            run.assert_eq("/tls/cipher", name);
            run.assert_eq("/tds/mars", true);
            let mars = &run.close["mars"];
            assert_eq!(mars["basis"], "inferred", "{list}: {:#}", run.close);
        }
    }
}
