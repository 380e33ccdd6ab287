//! Requests one by one.

use harness::agent::of;
use serde_json::{Value, json};

use crate::{only, told};

/// A pooled connection is handed on: the request that does so says it, and no other.
#[test]
fn a_request_that_resets_the_connection_says_so() {
    let events = told("rows/tedious-clear-reset-connection");
    let said = of(&events, "request").into_iter().map(|line| {
        let request = &line["request"];
        let times = ["first_byte_ns", "duration_ns", "server_ns"].map(|name| &request[name]);
        assert!(times.iter().all(|time| time == &times[0]), "{line:#}");
        let facts = ["complete", "cancelled", "reset_connection"].map(|name| &request[name]);
        json!([request["kind"], times[0], facts])
    });
    let expected = json!([
        ["batch", 517_544, [true, false, false]],
        ["batch", 123_014, [true, false, false]],
        ["batch", 129_692, [true, false, true]],
        ["batch", 98_053, [true, false, false]],
    ]);
    assert_eq!(Value::Array(said.collect()), expected);
    let mut sum = only(&events, "close")["requests"].clone();
    assert_eq!(sum["server_ns"]["max"], 517_544);
    sum.as_object_mut().unwrap().remove("server_ns");
    let expected = json!({
        "count": 4, "batch": 4, "rpc": 0, "bulk": 0, "transaction": 0, "attention": 0,
    });
    assert_eq!(sum, expected);
}

#[test]
fn a_transaction_is_begun_by_a_request_of_its_own() {
    let events = told("rows/pytds-loginonly12-resumed");
    let kinds = of(&events, "request")
        .into_iter()
        .map(|line| line["request"]["kind"].clone());
    let expected = ["transaction", "batch", "transaction", "batch"];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
}
