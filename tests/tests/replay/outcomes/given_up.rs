//! Logins that their client gives up: in each phase, and with an answer that comes all the same.

use harness::agent::of;
use serde_json::{Value, json};

use crate::packets::{
    ACK, ATTENTION, FIN, LOGIN, MILLISECOND, REPLY, SECOND, connection, login_and_close, up_to,
};
use crate::told::{only, told};

/// The client tries four times, each time for longer; the server takes four and a half seconds.
#[test]
fn a_login_taken_back_was_given_up_and_its_answer_is_late() {
    let events = told("rows/pytds-clear-late-reply");
    let said = of(&events, "close").into_iter().map(|close| {
        let login = &close["login"];
        assert_eq!(login["attention"], true, "{close:#}");
        let phase = &close["phases"]["login"];
        assert_eq!(phase["complete"], false, "{close:#}");
        assert_eq!(close["close"]["phase"], "login", "{close:#}");
        let [outcome, owed_by] = [&login["outcome"], &login["owed_by"]];
        let [duration, late] = [&phase["duration_ns"], &login["late_reply_ns"]];
        json!([outcome, owed_by, duration, late])
    });
    // Less than a second is not the server's fault.
    let expected = json!([
        ["aborted", null, 323_285_965, 4_177_473_045_u64],
        ["aborted", null, 641_223_952, 3_859_310_437_u64],
        ["timeout", "server", 1_281_195_129, 3_219_274_963_u64],
        ["timeout", "server", 1_754_317_434, 2_746_360_426_u64],
    ]);
    assert_eq!(Value::Array(said.collect()), expected);
}

#[test]
fn a_client_that_takes_its_login_back_has_given_it_up() {
    let login = &connection()[LOGIN];
    let attention = login.with(0x18, &ATTENTION, 2 * SECOND, 346);
    let fin = login.with(FIN | ACK, &[], 2 * SECOND + MILLISECOND, 354);
    let [login, close] = login_and_close(&up_to(LOGIN, &[attention, fin]));
    assert_eq!(login["login"]["outcome"], "timeout", "{login:#}");
    assert_eq!(login["login"]["attention"], true, "{login:#}");
    assert_eq!(close["close"]["phase"], "login", "{close:#}");
}

#[test]
fn a_reply_to_a_login_that_was_given_up_is_late() {
    let given_up = connection()[LOGIN].with(FIN | ACK, &[], 15 * SECOND, 346);
    let reply = connection()[REPLY].clone();
    let late = reply.with(0x18, reply.payload(), 15 * SECOND + MILLISECOND, 0);
    let after = late.time_ns - given_up.time_ns;
    let [login, close] = login_and_close(&up_to(LOGIN, &[given_up, late]));
    assert_eq!(login["login"]["outcome"], "timeout", "{login:#}");
    assert_eq!(login["login"]["owed_by"], "server", "{login:#}");
    let duration_ns = 15 * SECOND + 826_283;
    assert_eq!(login["login"]["duration_ns"], duration_ns, "{login:#}");
    assert_eq!(close["login"]["late_reply_ns"], after, "{close:#}");
}

/// Inside TLS ODBC waits until somebody ends it.
#[test]
fn a_server_that_falls_silent_is_waited_for_in_the_phase_that_it_owes() {
    for (capture, phase, [duration, client, server]) in [
        (
            "odbc18-silent-tls",
            "tls",
            [44_903_106_199_u64, 2_996_745, 44_900_109_454],
        ),
        (
            "odbc18-silent-login",
            "login",
            [2_002_030_825, 113_563, 2_001_917_262],
        ),
        (
            "pymssql-silent-auth",
            "auth",
            [2_002_365_156, 129_501, 2_002_235_655],
        ),
    ] {
        let events = told(&format!("rows/{capture}"));
        let close = only(&events, "close");
        let login = &close["login"];
        let said = json!([login["outcome"], login["owed_by"], close["close"]["phase"]]);
        assert_eq!(said, json!(["timeout", "server", phase]), "{capture}");
        for line in [&only(&events, "login"), &close] {
            let end = &line["phases"][phase];
            let times = ["duration_ns", "client_ns", "server_ns"].map(|name| &end[name]);
            let said = json!([end["complete"], times]);
            let expected = json!([false, [duration, client, server]]);
            assert_eq!(said, expected, "{capture}: {line:#}");
        }
    }
}
