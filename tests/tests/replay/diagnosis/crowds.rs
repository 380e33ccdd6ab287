//! Many logins at once: a server without workers against one that is slow, and storms.

use serde_json::Value;
use tracer::session::Config;

use super::{sure_of, top, waits};
use crate::{
    hear::{hear, together},
    script::{MILLISECOND, SECOND, Script},
};

const CLEAR: &str = "captures/odbc18-lab-clear";
/// So many packets of it have passed when the server owes PRELOGIN's answer, and LOGIN7's.
const PRELOGIN: usize = 4;
const LOGIN: usize = 8;

fn told(scripts: &[Script]) -> Vec<Value> {
    let heard = hear(&together(scripts), 1433, Config::default());
    heard.of("login").into_iter().cloned().collect()
}

fn tops(logins: &[Value]) -> Vec<&str> {
    logins.iter().map(top).collect()
}

#[test]
fn logins_that_come_one_by_one_and_are_released_together_waited_for_a_worker() {
    for kept in [PRELOGIN, LOGIN] {
        let scripts: Vec<_> = (0..30_u16)
            .map(|n| {
                let begins = u64::from(n) * 200 * MILLISECOND;
                waits(CLEAR, kept, (20_000 + n, begins, 14 * SECOND - begins))
            })
            .collect();
        let logins = told(&scripts);
        let all = tops(&logins);
        assert!(
            all.iter().all(|top| *top == "server_threads_exhausted"),
            "{all:?}"
        );
        let last = logins.last().unwrap();
        assert!(sure_of(last, "server_threads_exhausted") >= 0.9, "{last}");
        assert_eq!(
            last["diagnosis"][0]["evidence"]["stalled_with_it"], 29,
            "{last}"
        );
        assert_eq!(last["diagnosis"][0]["for"], "database");
    }
}

#[test]
fn logins_that_come_at_once_and_are_let_in_a_few_at_a_time_wait_for_few_workers() {
    // Four at a time, half a second each, in no order.
    let scripts: Vec<_> = (0..40_u16)
        .map(|n| {
            let (begins, turn) = (u64::from(n) * MILLISECOND / 4, u64::from(n * 7 % 40) / 4);
            waits(
                CLEAR,
                PRELOGIN,
                (20_000 + n, begins, turn * 500 * MILLISECOND),
            )
        })
        .collect();
    let logins = told(&scripts);
    let slow: Vec<_> = logins
        .iter()
        .filter(|line| line["login"]["duration_ns"].as_u64().unwrap() >= SECOND)
        .collect();
    let all: Vec<_> = slow.iter().map(|line| top(line)).collect();
    assert!(slow.len() > 30, "{all:?}");
    let of = |cause: &str| all.iter().filter(|top| **top == cause).count();
    assert!(of("server_threads_exhausted") + 2 >= all.len(), "{all:?}");
}

#[test]
fn logins_that_each_take_their_time_have_a_slow_server() {
    let scripts: Vec<_> = (0..20_u16)
        .map(|n| {
            let begins = u64::from(n) * 400 * MILLISECOND;
            waits(CLEAR, LOGIN, (20_000 + n, begins, 2 * SECOND))
        })
        .collect();
    let logins = told(&scripts);
    let all = tops(&logins);
    let of = |cause: &str| all.iter().filter(|top| **top == cause).count();
    assert!(of("server_slow_login") >= 17, "{all:?}");
}

#[test]
fn logins_that_take_their_time_in_no_order_do_not_wait_for_each_other() {
    // All are worked on at once: each takes two seconds, more or less.
    let waits_ns = [2300, 1500, 2600, 1900, 1400, 2400, 1700, 2100].map(|wait| wait * MILLISECOND);
    for (kept, slow) in [
        (PRELOGIN, "server_slow_prelogin"),
        (LOGIN, "server_slow_login"),
    ] {
        let scripts: Vec<_> = (0..8_u16)
            .zip(waits_ns)
            .map(|(n, wait)| {
                let begins = u64::from(n) * 60 * MILLISECOND;
                waits(CLEAR, kept, (20_000 + n, begins, wait))
            })
            .collect();
        let logins = told(&scripts);
        let all = tops(&logins);
        let of = |cause: &str| all.iter().filter(|top| **top == cause).count();
        assert!(of(slow) >= 6, "{all:?}");
        for login in &logins {
            assert!(sure_of(login, "server_threads_exhausted") <= 0.6, "{login}");
        }
    }
}

#[test]
fn who_waits_for_one_other_and_then_as_long_as_one_alone_waits_for_the_only_worker() {
    let scripts = [
        waits(CLEAR, LOGIN, (20_000, 0, 800 * MILLISECOND)),
        waits(
            CLEAR,
            LOGIN,
            (20_001, 200 * MILLISECOND, 1400 * MILLISECOND),
        ),
    ];
    let logins = told(&scripts);
    assert_eq!(top(&logins[1]), "server_threads_exhausted", "{}", logins[1]);
    // Where it takes longer than one alone after that, it is slow for itself.
    let scripts = [
        waits(CLEAR, LOGIN, (20_000, 0, 800 * MILLISECOND)),
        waits(
            CLEAR,
            LOGIN,
            (20_001, 200 * MILLISECOND, 2600 * MILLISECOND),
        ),
    ];
    let logins = told(&scripts);
    assert_eq!(top(&logins[1]), "server_slow_login", "{}", logins[1]);
}

#[test]
fn one_that_waits_while_others_get_through_is_slow_for_itself() {
    let mut scripts = vec![waits(CLEAR, PRELOGIN, (20_000, 0, 9 * SECOND))];
    scripts
        .extend((1..9_u16).map(|n| waits(CLEAR, PRELOGIN, (20_000 + n, u64::from(n) * SECOND, 0))));
    let logins = told(&scripts);
    let slow = logins.last().unwrap();
    assert_eq!(top(slow), "server_slow_prelogin", "{slow}");
    assert!(
        logins[..8]
            .iter()
            .all(|line| line.get("diagnosis").is_none())
    );
}

#[test]
fn logins_that_are_all_given_up_at_once_waited_for_a_worker() {
    let scripts: Vec<_> = (0..12_u16)
        .map(|n| {
            let mut script = Script::after(CLEAR, PRELOGIN);
            script
                .wait(15 * SECOND)
                .close(harness::sweep::packet::Side::Client);
            script.copy(20_000 + n, u64::from(n) * 100 * MILLISECOND)
        })
        .collect();
    let logins = told(&scripts);
    let all = tops(&logins);
    assert!(
        all.iter().all(|top| *top == "server_threads_exhausted"),
        "{all:?}"
    );
    assert!(
        logins
            .iter()
            .all(|line| sure_of(line, "server_silent") >= 0.5)
    );
}

#[test]
fn a_storm_is_told_beside_what_it_does() {
    let scripts: Vec<_> = (0..60_u16)
        .map(|n| {
            let begins = u64::from(n) * 10 * MILLISECOND;
            waits(CLEAR, PRELOGIN, (20_000 + n, begins, 5 * SECOND - begins))
        })
        .collect();
    let logins = told(&scripts);
    let last = logins.last().unwrap();
    assert!(sure_of(last, "login_storm") > 0.6, "{last}");
    assert!(sure_of(last, "server_threads_exhausted") > 0.5, "{last}");
}

#[test]
fn a_pool_that_opens_one_after_the_other_is_told_for_it() {
    let mut begins = 0;
    let scripts: Vec<_> = (0..10_u16)
        .map(|n| {
            let script = waits(CLEAR, LOGIN, (20_000 + n, begins, 1500 * MILLISECOND));
            begins += 1510 * MILLISECOND;
            script
        })
        .collect();
    let logins = told(&scripts);
    let last = logins.last().unwrap();
    assert_eq!(top(last), "server_slow_login");
    assert!(sure_of(last, "serial_open") >= 0.5, "{last}");
    assert!(sure_of(&logins[1], "serial_open") < 0.1);
}

#[test]
fn a_batch_that_waits_behind_another_one_waits_for_few_workers() {
    // Three workers, 800 ms each; who comes later waits for them.
    let scripts: Vec<_> = (0..6_u16)
        .map(|n| {
            let begins = u64::from(n) * 40 * MILLISECOND;
            let turn = u64::from(n / 3 + 1) * 800 * MILLISECOND;
            let started = u64::from(n % 3) * 40 * MILLISECOND;
            waits(
                CLEAR,
                PRELOGIN,
                (20_000 + n, begins, turn + started - begins),
            )
        })
        .collect();
    let logins = told(&scripts);
    let slow: Vec<_> = logins.iter().filter(|line| !top(line).is_empty()).collect();
    assert_eq!(slow.len(), 3, "{logins:#?}");
    let all: Vec<_> = slow.iter().map(|line| top(line)).collect();
    assert!(
        all.iter().all(|top| *top == "server_threads_exhausted"),
        "{all:?}"
    );
}

#[test]
fn the_first_that_waits_behind_another_one_at_the_domain_controller_is_told_of_the_queue() {
    const NTLM: &str = "captures/tsql-lab-ntlm-loginonly";
    // So many packets have passed when the server owes its answer to the client's token.
    let asked = 15;
    let scripts = [
        waits(NTLM, asked, (20_000, 0, 600 * MILLISECOND)),
        waits(NTLM, asked, (20_001, 100 * MILLISECOND, 1100 * MILLISECOND)),
    ];
    let logins = told(&scripts);
    assert_eq!(top(&logins[1]), "domain_controller_queue", "{}", logins[1]);
    // Where the first took as long, each takes its time.
    let scripts = [
        waits(NTLM, asked, (20_000, 0, 1100 * MILLISECOND)),
        waits(NTLM, asked, (20_001, 100 * MILLISECOND, 1100 * MILLISECOND)),
    ];
    let logins = told(&scripts);
    assert_eq!(top(&logins[1]), "domain_controller_slow", "{}", logins[1]);
}
