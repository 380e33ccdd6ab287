//! Who was waited for: what each phase's time was made of, in nanoseconds read off the packets.

mod copies;

use serde_json::json;

use crate::told::login;

/// What client, server and network took of a phase.
type Shares = (&'static str, [u64; 3]);

fn assert_waited(capture: &str, vantage: &str, expected: &[Shares]) {
    let login = login(capture);
    assert_eq!(login["connection"]["vantage"], vantage, "{login:#}");
    for (phase, shares) in expected {
        let told = &login["phases"][phase];
        let told = ["client_ns", "server_ns", "network_ns"].map(|share| &told[share]);
        assert_eq!(json!(told), json!(shares), "{capture}, {phase}: {login:#}");
    }
}

/// The server is 642.3 µs away. Each answer of it takes that long on its way; nothing of what the
/// client takes is the network's, for the trace is the client's own.
#[test]
fn seen_from_the_client_of_each_answer_a_round_trip_is_the_networks() {
    const TRIP: u64 = 642_300;
    assert_waited(
        "sequences/ntlm",
        "client",
        &[
            ("handshake", [201_700, 0, TRIP]),
            ("prelogin", [1_192_300, 904_300 - TRIP, TRIP]),
            (
                "tls",
                [
                    787_000 + 1_194_600,
                    1_389_300 + 3_119_900 - 2 * TRIP,
                    2 * TRIP,
                ],
            ),
            ("login", [5_961_700, 2_414_000 - TRIP, TRIP]),
            ("auth", [860_400, 17_220_900 - TRIP, TRIP]),
        ],
    );
}

/// The client is 453.2 µs away. Its PRELOGIN follows its own ACK: nothing had to travel between, and
/// all of the wait is the client's.
#[test]
fn seen_from_the_server_of_each_answer_of_the_client_a_round_trip_is_the_networks() {
    const TRIP: u64 = 453_200;
    assert_waited(
        "sequences/mars",
        "server",
        &[
            ("handshake", [0, 37_500, TRIP]),
            ("prelogin", [246_400, 133_800, 0]),
            (
                "tls",
                [
                    560_900 + 1_584_200 - 2 * TRIP,
                    552_700 + 1_136_500,
                    2 * TRIP,
                ],
            ),
            ("login", [2_447_900 - TRIP, 482_800, TRIP]),
            ("auth", [792_200 - TRIP, 146_975_600, TRIP]),
        ],
    );
}

#[test]
fn inside_the_tls_phase_the_walk_through_says_who_was_waited_for() {
    // The SYN-ACK has the time of the SYN: it was captured beside the server, and each time that
    // the client answers, the round trip is its share to give.
    const ROUND_TRIP: u64 = 976_000;
    let login = &login("sequences/sql-auth");
    let waited = ["client_ns", "server_ns", "network_ns"].map(|side| &login["phases"]["tls"][side]);
    let client = (2_929_000 - ROUND_TRIP) + (1_953_000 - ROUND_TRIP);
    assert_eq!(
        json!(waited),
        json!([client, 977_000 + 5_859_000, 2 * ROUND_TRIP]),
        "{login:#}"
    );
}

/// Java loads its TLS for one and a half seconds, and its ciphers for another four tenths.
#[test]
fn a_slow_client_is_waited_for_where_it_is_slow() {
    assert_waited(
        "drivers/jtds-full12-ntlm",
        "both",
        &[
            ("prelogin", [33_392_240, 31_335_030, 0]),
            ("tls", [1_473_954_364 + 401_771_058, 1_094_313 + 509_630, 0]),
            ("login", [25_652_320, 2_416_566, 0]),
        ],
    );
}
