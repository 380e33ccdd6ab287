//! Logins that their client gives up: in each phase, and with an answer that comes all the same.

use harness::agent::of;
use serde_json::{Value, json};

use crate::{only, told};

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

/// Inside TLS ODBC waits until somebody ends it.
#[test]
fn a_server_that_falls_silent_is_waited_for_in_the_phase_that_it_owes() {
    for (capture, phase, [duration, waited]) in [
        (
            "odbc18-silent-tls",
            "tls",
            [44_903_106_199_u64, 44_900_109_454],
        ),
        (
            "odbc18-silent-login",
            "login",
            [2_002_030_825, 2_001_917_262],
        ),
        (
            "pymssql-silent-auth",
            "auth",
            [2_002_365_156, 2_002_235_655],
        ),
    ] {
        let close = only(&told(&format!("rows/{capture}")), "close");
        let login = &close["login"];
        let said = json!([login["outcome"], login["owed_by"], close["close"]["phase"]]);
        assert_eq!(said, json!(["timeout", "server", phase]), "{capture}");
        let end = &close["phases"][phase];
        let said = json!([end["complete"], end["duration_ns"], end["server_ns"]]);
        assert_eq!(said, json!([false, duration, waited]), "{capture}");
    }
}
