//! Attempts that were put together from the packets of a real login.

use harness::sweep::packet::{ACK, FIN, RST, Side};
use serde_json::{Value, json};
use tracer::session::Config;

use super::parts;
use crate::{
    hear::{Heard, hear, together},
    script::{MICROSECOND, MILLISECOND, SECOND, Script},
};

pub(super) const CAPTURE: &str = "captures/odbc18-lab-clear";
const PORT: u16 = 1433;

/// A login of ODBC's from its SYN to its end, to this address, so much later.
pub(super) fn login(port: u16, server: u8, later_ns: u64) -> Script {
    let whole = Script::after(CAPTURE, 0);
    let whole = Script::after(CAPTURE, whole.length());
    elsewhere(&whole, port, server, later_ns)
}

pub(super) fn elsewhere(script: &Script, port: u16, server: u8, later_ns: u64) -> Script {
    script.moved(later_ns, |packet| {
        packet.of_client_port(port).of_server(server)
    })
}

/// A connection that is accepted, and closed by its client before anybody says anything.
pub(super) fn slower(port: u16, server: u8, later_ns: u64, flags: u8) -> Script {
    let mut script = Script::after(CAPTURE, 3);
    script.wait(50 * MICROSECOND).send(Side::Client, flags, &[]);
    if flags & FIN != 0 {
        script
            .wait(50 * MICROSECOND)
            .send(Side::Server, FIN | ACK, &[]);
        script.wait(50 * MICROSECOND).ack(Side::Client);
    }
    elsewhere(&script, port, server, later_ns)
}

/// A SYN that nobody answers.
pub(super) fn unanswered(port: u16, server: u8, later_ns: u64) -> Script {
    elsewhere(&Script::after(CAPTURE, 1), port, server, later_ns)
}

/// A SYN that is answered with a RST.
pub(super) fn refused(port: u16, server: u8, later_ns: u64) -> Script {
    let mut script = Script::after(CAPTURE, 1);
    let syn = script.stands(Side::Client);
    script.wait(50 * MICROSECOND);
    script.send_numbered(Side::Server, RST | ACK, [0, syn], &[]);
    elsewhere(&script, port, server, later_ns)
}

pub(super) fn heard(scripts: &[Script]) -> Heard {
    let mut steps = together(scripts);
    let mut last = Script::after(CAPTURE, 1);
    last.steps.clear();
    last.wait(100 * SECOND).others_pass(60 * SECOND);
    steps.extend(last.steps);
    hear(&steps, PORT, Config::default())
}

fn outcomes(attempt: &Value) -> Vec<Value> {
    let short = |part: &Value| json!([part[0], part[1], part[4]]);
    parts(attempt).iter().map(short).collect()
}

#[test]
fn of_three_addresses_one_wins_one_is_slower_and_one_is_dead() {
    for flags in [FIN | ACK, RST | ACK] {
        let heard = heard(&[
            unanswered(40_001, 3, 0),
            login(40_002, 4, 10 * MICROSECOND),
            slower(40_003, 5, 20 * MICROSECOND, flags),
        ]);
        let attempts = heard.of("attempt");
        assert_eq!(attempts.len(), 1, "{attempts:#?}");
        let ended = if flags & RST != 0 { "reset" } else { "aborted" };
        assert_eq!(
            outcomes(attempts[0]),
            [
                json!(["connect", "unreachable", true]),
                json!(["login", "success", false]),
                json!(["connect", ended, true]),
            ]
        );
        assert_eq!(attempts[0]["attempt"]["outcome"], "success");
        assert_eq!(attempts[0]["severity"], "info");
        let logins = heard.of("login");
        assert_eq!(logins.len(), 3);
        for login in logins {
            assert_eq!(login["attempt"]["id"], attempts[0]["attempt"]["id"]);
            assert_eq!(login["severity"], "info", "{login:#}");
            assert_eq!(login["login"]["stranger"], Value::Null, "{login:#}");
        }
    }
}

#[test]
fn each_of_many_losers_is_told_though_as_many_probes_would_not_be() {
    let races = (0..60).flat_map(|number: u16| {
        let at = u64::from(number) * 20 * MILLISECOND;
        [
            login(40_000 + number, 4, at),
            slower(50_000 + number, 5, at + 20 * MICROSECOND, FIN | ACK),
        ]
    });
    let heard = heard(&races.collect::<Vec<_>>());
    assert_eq!(heard.of("login").len(), 120);
    assert_eq!(heard.lost("stranger_suppressed"), 0);
    let attempts = heard.of("attempt");
    assert_eq!(attempts.len(), 60);
    assert!(
        attempts
            .iter()
            .all(|line| line["attempt"]["connections"] == 2)
    );

    let probes = (0..60).map(|number: u16| slower(50_000 + number, 5, 0, FIN | ACK));
    let heard = self::heard(&probes.collect::<Vec<_>>());
    let (told, not) = (heard.of("login").len(), heard.lost("stranger_suppressed"));
    assert!(not > 0, "{told} told");
    // What is not told as a login is not told as an attempt.
    assert_eq!(heard.of("attempt").len(), told);
}

#[test]
fn the_next_address_after_one_that_refused_is_the_same_attempt() {
    let heard = heard(&[refused(40_001, 3, 0), login(40_002, 4, MILLISECOND)]);
    let attempts = heard.of("attempt");
    assert_eq!(attempts.len(), 1, "{attempts:#?}");
    assert_eq!(
        outcomes(attempts[0]),
        [
            json!(["connect", "refused", false]),
            json!(["login", "success", false]),
        ]
    );
    assert_eq!(attempts[0]["attempt"]["unexplained_ns"], 950_000);
    // That one was refused is told as it was.
    assert_eq!(heard.of("login")[0]["severity"], "error");
}

#[test]
fn the_next_address_after_one_that_did_not_answer_for_seconds_is_the_same_attempt() {
    let mut dead = Script::after(CAPTURE, 1);
    let syn = dead.original(0);
    for wait in [1, 2] {
        dead.wait(wait * SECOND);
        let again = syn.at(dead.now);
        dead.steps.push(crate::script::Step::Packet(again));
    }
    let dead = elsewhere(&dead, 40_001, 3, 0);
    let next = login(40_002, 4, 5 * SECOND);
    let told = heard(&[dead.clone(), next.clone()]);
    let attempts = told.of("attempt");
    assert_eq!(attempts.len(), 1, "{attempts:#?}");
    assert_eq!(
        parts(attempts[0])[0],
        json!(["connect", "unreachable", 0, 3 * SECOND, false])
    );
    assert_eq!(attempts[0]["attempt"]["unexplained_ns"], 2 * SECOND);
    // Two that open then may be anybody's.
    let other = login(40_003, 4, 5 * SECOND + 100 * MILLISECOND);
    assert_eq!(heard(&[dead, next, other]).of("attempt").len(), 3);
}

/// A connection that its client closes so long after its first packets.
fn left_after(packets: usize, later_ns: u64, port: u16, opened_ns: u64) -> Script {
    let mut script = Script::after(CAPTURE, packets);
    script.wait(later_ns).close(Side::Client);
    elsewhere(&script, port, 3, opened_ns)
}

#[test]
fn a_client_that_leaves_on_its_own_turn_has_not_been_let_down_and_tries_nothing_again() {
    // As a check does that asks for PRELOGIN's answer alone, now and then.
    let checks = (0..10_u16).map(|number| {
        let at = u64::from(number) * 200 * MILLISECOND;
        left_after(7, MICROSECOND, 40_000 + number, at)
    });
    let told = heard(&checks.collect::<Vec<_>>());
    let attempts = told.of("attempt");
    assert_eq!(attempts.len(), 10, "{attempts:#?}");
    // One that is not answered in a slice of its timeout is tried again.
    let slice = 400 * MILLISECOND;
    let slices = [
        left_after(5, slice, 40_000, 0),
        login(40_001, 3, slice + MILLISECOND),
    ];
    let told = heard(&slices);
    let attempts = told.of("attempt");
    assert_eq!(attempts.len(), 1, "{attempts:#?}");
    assert_eq!(attempts[0]["attempt"]["connections"], 2);
}

#[test]
fn logins_of_one_client_that_open_together_to_one_address_or_to_several_are_not_one() {
    for servers in [[3, 3, 3], [3, 4, 5]] {
        let pool = servers.iter().zip(0..);
        let pool: Vec<_> = pool
            .map(|(server, number)| {
                login(
                    40_000 + number,
                    *server,
                    u64::from(number) * 10 * MICROSECOND,
                )
            })
            .collect();
        let heard = heard(&pool);
        let attempts = heard.of("attempt");
        assert_eq!(attempts.len(), 3, "{servers:?}: {attempts:#?}");
        for attempt in attempts {
            assert_eq!(attempt["attempt"]["connections"], 1);
            assert_eq!(
                attempt["attempt"]["parts"].as_array().map(Vec::len),
                Some(1)
            );
        }
    }
}

#[test]
fn attempts_are_told_the_same_wherever_time_is_looked_at() {
    let scripts = [
        unanswered(40_001, 3, 0),
        login(40_002, 4, 10 * MICROSECOND),
        refused(40_003, 6, 2 * SECOND),
        login(40_004, 7, 2 * SECOND + MILLISECOND),
    ];
    let told = |heard: &Heard| -> Vec<Value> {
        let mut told: Vec<_> = heard.of("attempt").into_iter().cloned().collect();
        for line in &mut told {
            line.as_object_mut().unwrap().remove("line");
        }
        told
    };
    let often = told(&heard(&scripts));
    // Nobody passes afterwards but one packet, late.
    let mut steps = together(&scripts);
    let mut last = Script::after(CAPTURE, 1);
    last.steps.clear();
    last.wait(500 * SECOND).others_pass(MICROSECOND);
    steps.extend(last.steps);
    let late = told(&hear(&steps, PORT, Config::default()));
    assert_eq!(often.len(), 2);
    assert_eq!(often, late);
}
