//! Causes that one connection shows by itself, and that no capture at hand has.

use harness::{
    replay::{Replayed, line},
    sweep::{
        packet::{
            ACK, FIN, PSH,
            Side::{Client, Server},
        },
        sources::fixture,
    },
};
use serde_json::Value;
use tracer::session::Config;

use super::{sure_of, top};
use crate::script::{MILLISECOND, SECOND, Script};

const CLEAR: &str = "captures/odbc18-lab-clear";
/// PRELOGIN's ENCRYPTION option, and its value for encryption (MS-TDS 2.2.6.5).
const ENCRYPTION: u8 = 1;
const ON: u8 = 1;

/// A PRELOGIN that asks for encryption.
fn asks_for_encryption(prelogin: &[u8]) -> Vec<u8> {
    let mut prelogin = prelogin.to_vec();
    let options = prelogin[8..].chunks_exact(5);
    let option = options.into_iter().find(|option| option[0] == ENCRYPTION);
    let at = option.map(|option| u16::from_be_bytes([option[1], option[2]]));
    prelogin[8 + usize::from(at.expect("the option"))] = ON;
    prelogin
}

#[test]
fn a_fast_login_in_clear_of_a_client_that_asked_for_encryption_is_told() {
    let mut script = Script::after(CLEAR, 3);
    let prelogin = script.original(3);
    let asked = asks_for_encryption(prelogin.payload());
    script.wait(MILLISECOND).say(Client, &asked).goes_on_from(4);
    let heard = script.heard();
    let (login, close) = heard.only().unwrap();
    assert_eq!(login["login"]["outcome"], "success");
    assert_eq!(top(login), "encryption_downgraded", "{login}");
    assert_eq!(top(close), "encryption_downgraded", "{close}");
    assert_eq!(login["diagnosis"].as_array().unwrap().len(), 1, "{login}");
}

/// The last packet has come from further away.
fn from_elsewhere(script: &mut Script) {
    let last = script.packets().last().expect("a packet");
    let mut bytes = last.bytes.to_vec();
    // IPv4's time to live, and its checksum.
    bytes[8] = bytes[8].wrapping_sub(9);
    let sum = u16::from_be_bytes([bytes[10], bytes[11]]).wrapping_add(0x0900);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    last.bytes = bytes.into();
}

#[test]
fn a_login_that_something_on_the_way_resets_is_told_from_one_that_its_server_resets() {
    let mut script = Script::after(CLEAR, 8);
    script.wait(MILLISECOND).reset(Server);
    let heard = script.heard();
    let (login, _) = heard.only().unwrap();
    assert_eq!(top(login), "closed_without_error", "{login}");
    from_elsewhere(&mut script);
    let heard = script.heard();
    let (login, _) = heard.only().unwrap();
    assert_eq!(top(login), "middlebox_reset", "{login}");
}

#[test]
fn an_idle_connection_that_something_on_the_way_resets_was_dropped() {
    let mut script = Script::after(CLEAR, 10);
    script.wait(300 * SECOND).reset(Server);
    from_elsewhere(&mut script);
    let heard = script.heard();
    let (login, close) = heard.only().unwrap();
    assert!(login.get("diagnosis").is_none(), "{login}");
    assert_eq!(top(close), "idle_drop", "{close}");
}

/// A batch that asks something, and its packet's header (MS-TDS 2.2.3, 2.2.6.7).
const BATCH: [u8; 32] = {
    let mut batch = [0; 32];
    (batch[0], batch[1], batch[3], batch[8]) = (1, 1, 32, 22);
    (batch[12], batch[16], batch[18]) = (18, 2, 1);
    (batch[26], batch[30]) = (1, b'1');
    batch
};

/// After so long a pause the client asks something, and sends it again and again, as often as told.
fn asks_in_vain(pause: u64, copies: u32) -> Script {
    let mut script = Script::after(CLEAR, 10);
    script.wait(pause).say(Client, &BATCH);
    for copy in 0..copies {
        script.wait((200 * MILLISECOND) << copy);
        script.send_at(Client, PSH | ACK, BATCH.len() as u32, &BATCH);
    }
    script
}

#[test]
fn an_idle_connection_that_something_on_the_way_has_forgotten_was_dropped_however_its_client_leaves()
 {
    // It is still there when nobody looks any more; its client leaves in order, or not.
    let ends: [fn(&mut Script); 3] = [
        |_| {},
        |script| {
            script.wait(SECOND).send(Client, FIN | ACK, &[]);
        },
        |script| {
            script.wait(SECOND).reset(Client);
        },
    ];
    for end in ends {
        let mut script = asks_in_vain(300 * SECOND, 6);
        end(&mut script);
        let heard = script.heard();
        let (login, close) = heard.only().unwrap();
        assert!(login.get("diagnosis").is_none(), "{login}");
        assert_eq!(top(close), "idle_drop", "{close}");
        assert_eq!(close["close"]["class"], "abnormal", "{close}");
        let evidence = &close["diagnosis"][0]["evidence"];
        assert_eq!(evidence["copies"], 6, "{close}");
        assert_eq!(evidence["requests_in_flight"], 1, "{close}");
    }
    // A connection that was in use, and one of which nothing was lost.
    for (pause, copies) in [(SECOND, 6), (300 * SECOND, 0)] {
        let heard = asks_in_vain(pause, copies).heard();
        let (_, close) = heard.only().unwrap();
        assert!(close.get("diagnosis").is_none(), "{close}");
    }
}

#[test]
fn a_client_that_leaves_at_a_slice_of_its_timeout_is_told_beside_the_silence() {
    let mut script = Script::after(CLEAR, 4);
    script.wait(2400 * MILLISECOND).close(Client);
    let heard = script.heard();
    let (login, _) = heard.only().unwrap();
    assert_eq!(top(login), "server_silent", "{login}");
    assert!(sure_of(login, "attempt_slice_expired") >= 0.5, "{login}");
}

#[test]
fn two_that_were_slow_over_one_login_are_both_named_the_slower_first() {
    // The server over PRELOGIN, the client over LOGIN7.
    for (server, client) in [(3, 2), (2, 3)] {
        let mut script = Script::after(CLEAR, 5);
        script.wait(server * SECOND).goes_on(5..7);
        script.wait(client * SECOND).goes_on_from(7);
        let heard = script.heard();
        let (login, _) = heard.only().unwrap();
        let told: Vec<_> = login["diagnosis"].as_array().unwrap().iter().collect();
        let causes: Vec<_> = told.iter().map(|one| &one["cause"]).collect();
        let mut right = ["server_slow_prelogin", "client_slow"];
        if client > server {
            right.reverse();
        }
        assert_eq!(causes, right, "{login}");
        for one in told {
            let evidence = &one["evidence"];
            let place = match one["cause"].as_str() {
                Some("client_slow") => ("login", "client"),
                _ => ("prelogin", "server"),
            };
            assert_eq!(
                (&evidence["phase"], &evidence["side"]),
                (&place.0.into(), &place.1.into())
            );
        }
    }
}

#[test]
fn that_a_question_was_acknowledged_is_told_only_where_an_acknowledgement_was_seen() {
    // PRELOGIN, its acknowledgement, and its answer.
    for (kept, rest, is_told) in [(5, 5, true), (4, 5, false)] {
        let mut script = Script::after(CLEAR, kept);
        script.wait(3 * SECOND).goes_on_from(rest);
        let heard = script.heard();
        let (login, _) = heard.only().unwrap();
        assert_eq!(top(login), "server_slow_prelogin", "{login}");
        let soon = login["diagnosis"][0]["evidence"]["acknowledged_ns"].as_u64();
        assert_eq!(
            soon.is_some_and(|soon| soon < MILLISECOND),
            is_told,
            "{login}"
        );
    }
}

#[test]
fn an_answer_to_a_client_that_has_left_is_late_in_the_close() {
    let mut script = Script::after(CLEAR, 4);
    script.wait(3 * SECOND).reset(Client);
    let answer = script.original(5);
    script.wait(50 * MILLISECOND).say(Server, answer.payload());
    let heard = script.heard();
    let (login, close) = heard.only().unwrap();
    assert_eq!(top(login), "server_silent", "{login}");
    assert_eq!(top(close), "late_reply", "{close}");
    assert!(sure_of(close, "server_silent") > 0.7, "{close}");
}

#[test]
fn a_login_that_is_sent_to_a_port_without_an_answer_is_blocked_there() {
    let connections = fixture("captures/mssqltds-mock-routing").unwrap();
    let [first, second] = &connections[..] else {
        panic!("two connections")
    };
    let mut agent = Replayed::new([first.port, second.port], Config::default());
    let syn = &second.packets[0];
    let again = [1, 3, 7].map(|seconds| syn.again(syn.time_ns + seconds * SECOND));
    for packet in first.packets.iter().chain([syn]).chain(&again) {
        let network = (packet.ethertype, &packet.bytes[..]);
        agent.packet(packet.time_ns, packet.point, network);
    }
    let lines: Vec<Value> = agent.finish().iter().map(line).collect();
    let logins: Vec<_> = lines
        .iter()
        .filter(|line| line["event"] == "login")
        .collect();
    assert!(logins[0].get("diagnosis").is_none(), "{}", logins[0]);
    assert_eq!(top(logins[1]), "redirect_blocked", "{}", logins[1]);
}
