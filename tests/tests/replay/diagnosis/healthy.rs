//! Logins that went well in no more than their time: nothing is told of them, whatever goes on around.

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use tracer::session::Config;

use crate::{
    hear::{hear, together},
    script::{MILLISECOND, SECOND, Script},
};

const CAPTURES: [&str; 5] = [
    "captures/odbc18-lab-clear",
    "captures/odbc18-lab-tls12",
    "captures/odbc18-lab-strict13",
    "captures/tsql-lab-ntlm-loginonly",
    "captures/odbc18-lab-krb-loginonly",
];

/// A login, each of its packets later than the one before it by up to this.
fn jittered(capture: &str, port: u16, begins: u64, mut jitter: impl FnMut() -> u64) -> Script {
    let mut script = Script::after(capture, 1);
    for place in 1..script.length() {
        script.wait(jitter()).goes_on(place..place + 1);
    }
    script.copy(port, begins)
}

#[test]
fn ten_thousand_healthy_logins_with_jitter_and_bursts_have_no_cause() {
    let mut runner = TestRunner::deterministic();
    let mut draw = |most: u64| (0..most).new_tree(&mut runner).unwrap().current();
    let mut healthy = 0;
    for round in 0..50_u64 {
        let mut scripts = Vec::new();
        let mut begins = 0;
        for number in 0..200_u16 {
            // Bursts of forty, and pauses; a busy machine in every third round.
            begins += if number % 40 == 0 {
                SECOND
            } else {
                draw(2 * MILLISECOND)
            };
            let jitter = if round % 3 == 0 {
                20 * MILLISECOND
            } else {
                MILLISECOND
            };
            let capture = CAPTURES[draw(5) as usize];
            let port = 20_000 + number;
            scripts.push(jittered(capture, port, begins, || draw(jitter)));
        }
        let heard = hear(&together(&scripts), 1433, Config::default());
        for line in heard.of("login").into_iter().chain(heard.of("close")) {
            let slow = line["login"]["duration_ns"]
                .as_u64()
                .is_some_and(|took| took >= SECOND);
            let good = line["login"]["outcome"] == "success";
            assert!(good && !slow, "{line}");
            assert!(line.get("diagnosis").is_none(), "{line}");
            healthy += 1;
        }
    }
    assert_eq!(healthy, 2 * 10_000);
}
