//! When a connection is over: with its last packet, or once nothing more may come.

use harness::agent::of;
use serde_json::json;

use crate::packets::{ACK, FIN, RST, SECOND, SQL_BATCH, connection, last_ns, other, replay, until};
use crate::told::{lines, only, says};

#[test]
fn a_connection_that_outlives_its_trace_was_not_closed() {
    for name in ["ntlm", "mars"] {
        let [_, closes] = lines(&format!("sequences/{name}"));
        assert_eq!(closes.len(), 1, "{name}");
        says(
            &closes[0],
            &json!({
                "close.by": "agent", "close.how": "evicted", "close.class": "normal",
                "phases.close": null,
            }),
        );
    }
}

#[test]
fn a_close_runs_from_the_first_fin_to_the_last_packet() {
    for (name, duration_ns) in [("sql-auth", 977_000), ("kerberos", 837_800)] {
        let [_, closes] = lines(&format!("sequences/{name}"));
        assert_eq!(closes.len(), 1, "{name}");
        says(
            &closes[0],
            &json!({
                "phases.close.duration_ns": duration_ns,
                "close.by": "client", "close.how": "fin", "close.class": "normal",
            }),
        );
    }
}

#[test]
fn a_straggler_of_a_reset_connection_is_part_of_it_for_some_seconds() {
    let whole = connection();
    let mut packets = until(&whole, SQL_BATCH);
    let mut straggler = packets.pop().unwrap();
    let reset = straggler.with(RST | ACK, &[], 0, 0);
    packets.push(reset.clone());
    for (after, connections) in [(SECOND / 2, 1), (10 * SECOND, 2)] {
        straggler.time_ns = reset.time_ns + after;
        let file = [&packets[..], std::slice::from_ref(&straggler)].concat();
        let events = replay(&file);
        let closes = of(&events, "close");
        assert_eq!(closes.len(), connections, "{after} ns later: {events:#?}");
        assert_eq!(closes[0]["close"]["how"], "rst");
        assert_eq!(closes[0]["connection"]["partial"], false);
        let late = closes
            .get(1)
            .map(|close| &close["connection"]["partial_reasons"][0]);
        assert_eq!(late, (connections == 2).then_some(&json!("joined_late")));
    }
}

#[test]
fn a_side_that_never_closes_is_half_open_after_a_minute() {
    let mut packets = connection();
    let fin = packets
        .iter_mut()
        .position(|packet| *packet.flags() & FIN != 0);
    packets.truncate(fin.unwrap() + 1);
    let end = last_ns(&packets);
    let cut = only(&replay(&packets), "close");
    assert_eq!(
        cut["connection"]["partial"], true,
        "the file ends too early to say"
    );

    packets.push(other(end + 90 * SECOND));
    let close = only(&replay(&packets), "close");
    assert_eq!(close["connection"]["partial"], false, "{close:#}");
    assert_eq!(close["close"]["half_open"], true, "{close:#}");
}

#[test]
fn both_sides_that_close_at_once_are_one_connection() {
    let [logins, closes] = lines("drivers/pymssql-strict13-both-close");
    assert_eq!((logins.len(), closes.len()), (1, 1));
    says(
        &logins[0],
        &json!({
            "login.outcome": "failed", "login.basis": "inferred", "connection.partial": false,
            "tds.encryption": "strict", "tls.version": "1.3", "tls.alpn": "tds/8.0",
            "phases": [["handshake", 50986, true], ["tls", 209_708_660, true], ["prelogin", 583_441, true], ["login", 936_307, true]],
        }),
    );
}

#[test]
fn a_sealed_login_that_was_answered_is_not_what_its_connection_ends_in() {
    let [_, closes] = lines("drivers/pymssql-strict13-both-close");
    says(
        &closes[0],
        &json!({"login.outcome": "failed", "close.how": "fin", "close.class": "normal", "close.phase": null}),
    );
    // A login that was not answered is.
    let [_, closes] = lines("drivers/odbc18-strict13-silent");
    says(
        &closes[0],
        &json!({"login.outcome": "timeout", "close.phase": "prelogin"}),
    );
}
