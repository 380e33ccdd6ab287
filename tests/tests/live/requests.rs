//! Requests that are no plain question: taken back, loaded in bulk.

use harness::agent::of;
use harness::drivers::{Driver, Encrypt, Errand};
use harness::expect::Shape;
use harness::{driver_or_skip, root_or_skip};
use serde_json::{Value, json};

use crate::run::{Path, Server, observe_driver, observe_driver_with};

/// The requests of a connection in sum, and each as its kind, whether it was taken back and its
/// nanoseconds; all of them ended, and none resets the connection.
fn requests(driver: Driver, errand: Errand) -> (Value, Vec<(Value, bool, u64)>) {
    let server = Server::Scenario(&["--encrypt", "not-sup"]);
    let run = observe_driver(Path::Client, &server, driver, Encrypt::Off, |login| {
        login.errand = errand;
    });
    assert!(run.fared.ok, "{driver:?}: {}", run.fared.output);
    run.assert_outcome("success", Some("none"));
    run.assert_captured(Shape::Clear);
    let mut sum = run.close["requests"].clone();
    sum.as_object_mut().unwrap().remove("server_ns");
    let each = of(&run.events, "request").into_iter().map(|line| {
        let said = &line["request"];
        assert_eq!(said["complete"], true, "{driver:?}: {line:#}");
        assert_eq!(said["reset_connection"], false, "{driver:?}: {line:#}");
        let cancelled = said["cancelled"].as_bool().unwrap();
        let duration = said["duration_ns"].as_u64().unwrap();
        (said["kind"].clone(), cancelled, duration)
    });
    (sum, each.collect())
}

fn sum(batch: u64, rpc: u64, bulk: u64, attention: u64) -> Value {
    json!({
        "count": batch + rpc + bulk, "batch": batch, "rpc": rpc, "bulk": bulk,
        "transaction": 0, "attention": attention,
    })
}

#[test]
fn a_request_taken_back_lasts_until_the_attention_is_answered() {
    root_or_skip!("a request taken back lasts until the attention is answered");
    for (driver, expected) in [
        (Driver::PythonTds, sum(2, 0, 0, 1)),
        (Driver::Odbc, sum(2, 4, 0, 1)),
        (Driver::FreetdsOdbc, sum(6, 0, 0, 1)),
    ] {
        driver_or_skip!(driver);
        let (said, each) = requests(driver, Errand::TimeOut);
        assert_eq!(said, expected, "{driver:?}");
        let count = each.len();
        // The question that it goes on with is the last.
        for (place, (kind, cancelled, duration)) in each.into_iter().enumerate() {
            let taken_back = place + 2 == count;
            assert_eq!(cancelled, taken_back, "{driver:?}, request {place}");
            assert!(!cancelled || kind == "batch", "{driver:?}: {kind}");
            // A second, then the answer at once.
            let lasted = (1_000_000_000..1_500_000_000).contains(&duration);
            assert_eq!(lasted, taken_back, "{driver:?}, {place}: {duration} ns");
        }
    }
}

#[test]
fn a_bulk_load_is_a_request_of_its_own() {
    root_or_skip!("a bulk load is a request of its own");
    for (driver, expected, place) in [
        (Driver::PythonTds, sum(2, 0, 1, 0), 1),
        // It asks nothing after it.
        (Driver::Freebcp, sum(4, 0, 1, 0), 4),
    ] {
        driver_or_skip!(driver);
        let (said, each) = requests(driver, Errand::BulkLoad);
        assert_eq!(said, expected, "{driver:?}");
        let bulk = each.iter().position(|(kind, ..)| kind == "bulk");
        assert_eq!(bulk, Some(place), "{driver:?}: {each:?}");
    }
}

/// As they are where nobody asks for each; the harness compares the sums with those of a replay.
#[test]
fn counted_by_the_kernel_requests_have_the_same_sums_at_either_end() {
    root_or_skip!("counted by the kernel, requests have the same sums at either end");
    for (driver, encrypt, expected) in [
        (Driver::Odbc, Encrypt::Off, sum(2, 4, 0, 1)),
        (Driver::FreetdsOdbc, Encrypt::Off, sum(6, 0, 0, 1)),
        // Inside TLS nothing tells an attention from the request that it takes back.
        (Driver::Odbc, Encrypt::On, json!({ "count": 6 })),
    ] {
        driver_or_skip!(driver);
        for path in [Path::Client, Path::Server, Path::Loopback] {
            let mode = if encrypt == Encrypt::On {
                "on"
            } else {
                "not-sup"
            };
            let server = Server::Scenario(&["--encrypt", mode]);
            let options = ["--events", "-request"];
            let run = observe_driver_with(path, &server, &options, driver, encrypt, |login| {
                login.errand = Errand::TimeOut;
            });
            assert!(of(&run.events, "request").is_empty());
            let said = &run.close["requests"];
            for (name, count) in expected.as_object().unwrap() {
                assert_eq!(said[name], *count, "{driver:?} {path:?}: {said:#}");
            }
        }
    }
}
