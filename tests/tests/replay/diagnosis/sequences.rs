//! The four published login sequences: what was slow in them, and the four reasons that their
//! publisher gives for a login that times out, each told by its own signature.

use harness::{
    replay::events_with,
    sequences::{NAMES, folder},
};
use serde_json::Value;

use super::{sure_of, top, waits};
use crate::{
    hear::{hear, together},
    script::{MILLISECOND, SECOND, Script},
};
use tracer::session::Config;

const NTLM: &str = "captures/tsql-lab-ntlm-loginonly";
/// So many packets of it have passed when the server owes the answer to the client's token.
const ASKED: usize = 14;

fn login(name: &str, slow: &str) -> Value {
    let path = folder().join(format!("{name}.pcap"));
    let events = events_with(&path, &["--slow", slow]).unwrap();
    let mut logins = events.into_iter().filter(|line| line["event"] == "login");
    logins.next().expect("a login")
}

#[test]
fn none_of_them_is_slow_as_such() {
    for name in NAMES {
        let path = folder().join(format!("{name}.pcap"));
        for line in events_with(&path, &[]).unwrap() {
            assert!(line.get("diagnosis").is_none(), "{line}");
        }
    }
}

#[test]
fn kerberos_waited_47_ms_for_the_answer_to_prelogin() {
    let login = login("kerberos", "40");
    assert_eq!(top(&login), "server_slow_prelogin");
    let evidence = &login["diagnosis"][0]["evidence"];
    assert_eq!(
        (&evidence["phase"], &evidence["side"]),
        (&"prelogin".into(), &"server".into())
    );
}

#[test]
fn mars_waited_148_ms_for_a_domain_controller_slow_or_far() {
    let login = login("mars", "100");
    assert_eq!(top(&login), "domain_controller_slow");
    assert!(
        sure_of(&login, "domain_controller_far") > 0.4,
        "one alone does not tell"
    );
}

/// NTLM logins that begin at these moments and wait so long for the answer to their token.
fn ntlm(all: impl IntoIterator<Item = (u64, u64)>) -> Vec<Value> {
    let scripts: Vec<_> = all
        .into_iter()
        .enumerate()
        .map(|(number, (begins, wait))| waits(NTLM, ASKED, (20_000 + number as u16, begins, wait)))
        .collect();
    let heard = hear(&together(&scripts), 1433, Config::default());
    heard.of("login").into_iter().cloned().collect()
}

#[test]
fn logins_that_are_released_one_after_the_other_queue_for_the_domain_controller() {
    // Two at a time, 1.5 s each.
    let logins = ntlm((0..16).map(|n| (n * 3 * MILLISECOND, (n / 2 + 1) * 1500 * MILLISECOND)));
    let told: Vec<_> = logins.iter().map(top).collect();
    assert!(
        told[4..]
            .iter()
            .all(|top| *top == "domain_controller_queue"),
        "{told:?}"
    );
}

#[test]
fn logins_that_wait_the_same_round_trips_have_a_distant_domain_controller() {
    let logins = ntlm((0..10).map(|n| (n * 4 * SECOND, 1200 * MILLISECOND + n * MILLISECOND)));
    let told: Vec<_> = logins.iter().map(top).collect();
    assert!(
        told[3..].iter().all(|top| *top == "domain_controller_far"),
        "{told:?}"
    );
    // Under load too.
    let logins = ntlm((0..10).map(|n| (n * 300 * MILLISECOND, 1200 * MILLISECOND)));
    let told: Vec<_> = logins.iter().map(top).collect();
    assert!(
        told[4..].iter().all(|top| *top == "domain_controller_far"),
        "{told:?}"
    );
}

#[test]
fn logins_that_wait_long_whatever_the_load_have_a_slow_domain_controller() {
    let pace = [6000, 5200, 5900, 5400, 6100, 5600, 5300, 5800];
    let logins = ntlm((0..8).map(|n| (n * 9 * SECOND, pace[n as usize] * MILLISECOND)));
    let told: Vec<_> = logins.iter().map(top).collect();
    assert!(
        told.iter().all(|top| *top == "domain_controller_slow"),
        "{told:?}"
    );
}

#[test]
fn logins_that_are_never_answered_have_no_domain_controller() {
    let scripts: Vec<_> = (0..6)
        .map(|number| {
            let mut script = Script::after(NTLM, ASKED);
            script
                .wait(15 * SECOND)
                .close(harness::sweep::packet::Side::Client);
            script.copy(20_000 + number, u64::from(number) * 200 * MILLISECOND)
        })
        .collect();
    let heard = hear(&together(&scripts), 1433, Config::default());
    let logins = heard.of("login");
    let told: Vec<_> = logins.iter().map(|line| top(line)).collect();
    assert!(
        told.iter()
            .all(|top| *top == "domain_controller_unreachable"),
        "{told:?}"
    );
}
