//! A packet that is sent again before it is answered: from its first to its last copy the time is the
//! network's, whoever sent it, wherever it is seen.

use harness::{
    replay::field,
    sweep::{
        packet::{
            Packet,
            Side::{Client, Server},
        },
        sources::{Connection, fixture},
    },
};
use serde_json::Value;

use crate::{
    hear::number,
    judge::{Judge, Wrong},
    script::{MILLISECOND, SECOND, Script, Step},
};

/// Seen from the client, from the server, and from both at once.
const CAPTURES: [&str; 5] = [
    "sequences/ntlm",
    "sequences/mars",
    "captures/odbc18-lab-clear",
    "captures/odbc18-lab-tls12",
    "captures/odbc18-lab-strict13",
];
const SHARES: [&str; 3] = ["client", "server", "network"];
const PHASES: [&str; 5] = ["handshake", "prelogin", "tls", "login", "auth"];

/// What each share is of all phases.
fn sums(login: &Value) -> [u64; 3] {
    SHARES.map(|share| {
        let phases = PHASES.iter();
        phases
            .map(|phase| number(login, &format!("phases.{phase}.{share}_ns")))
            .sum()
    })
}

/// The shares are those of the login as it was, but for `later`, which is the network's; a round
/// trip that is known no more may be anybody's.
fn lengthened(judge: &mut Judge<'_>, plain: &Value, later: u64) {
    let before = sums(plain);
    let after = sums(judge.login);
    let trips = 6 * number(plain, "tcp.rtt_ns") + MILLISECOND;
    for (place, share) in SHARES.iter().enumerate() {
        let right = before[place] + if *share == "network" { later } else { 0 };
        judge.demand(after[place].abs_diff(right) <= trips, || {
            format!("{share} {}, right {right}", after[place])
        });
    }
    let outcome = field(plain, "login.outcome").and_then(Value::as_str);
    judge.outcome(&[outcome.unwrap_or("none")]);
    judge.duration(number(plain, "login.duration_ns") + later);
    let [told, right] = [judge.login, plain].map(|line| number(line, "tcp.rtt_ns"));
    judge.demand(told <= right + MILLISECOND, || {
        format!("round trip {told}, right {right}")
    });
    let partial = &judge.login["connection"]["partial"];
    judge.demand(partial == false, || "partial".to_owned());
}

/// The connection with copies of one packet after it, and all else so much later.
fn with_copies(connection: &Connection, index: usize, after: &[u64]) -> Script {
    let packets: &[Packet] = &connection.packets;
    let mut all = packets.to_vec();
    let last = after.last().copied().unwrap_or(0);
    for later in &mut all[index + 1..] {
        later.time_ns += last;
    }
    for (place, ns) in after.iter().enumerate() {
        let mut copy = packets[index].clone();
        // Each has an identification of its own.
        for _ in 0..=place {
            copy = copy.again(packets[index].time_ns + ns);
        }
        all.insert(
            index + 1 + place,
            if place == 1 { copy.renumbered(7) } else { copy },
        );
    }
    let mut script = Script::of(connection, 0);
    script.steps = all.into_iter().map(Step::Packet).collect();
    script
}

#[test]
fn the_time_between_the_copies_of_a_packet_is_the_networks() {
    let mut wrong = Wrong::default();
    for capture in CAPTURES {
        let connections = fixture(capture).unwrap();
        let connection = &connections[0];
        let whole = Script::of(connection, connection.packets.len()).heard();
        let (plain, _) = whole.only().unwrap();
        let (decided, _) = connection.truth.decided.unwrap();
        for index in 0..decided {
            let packet = &connection.packets[index];
            if packet.payload().is_empty() && index > 1 {
                continue;
            }
            for after in [
                &[SECOND][..],
                &[300 * MILLISECOND, 900 * MILLISECOND],
                &[SECOND, 3 * SECOND],
            ] {
                let heard = with_copies(connection, index, after).heard();
                let variant = format!("{capture}@{index} {after:?}");
                wrong.look(&variant, &heard, |judge| {
                    lengthened(judge, plain, after[after.len() - 1]);
                });
            }
        }
    }
}

/// A SYN-ACK that is lost behind the server's host: the client's SYN comes again, and its answer.
#[test]
fn a_syn_that_comes_again_because_its_answer_was_lost_costs_the_network() {
    let mut wrong = Wrong::default();
    for capture in CAPTURES {
        let connections = fixture(capture).unwrap();
        let connection = &connections[0];
        let whole = Script::of(connection, connection.packets.len()).heard();
        let (plain, _) = whole.only().unwrap();
        for think in [0, 900 * MILLISECOND] {
            let mut script = Script::of(connection, 2);
            let [syn, answer] = [script.original(0), script.original(1)];
            let between = answer.time_ns - syn.time_ns;
            for packet in [
                syn.again(syn.time_ns + SECOND),
                answer.again(answer.time_ns + SECOND),
            ] {
                script.now = packet.time_ns;
                script.steps.push(Step::Packet(packet));
            }
            script.goes_on(2..3).wait(think).goes_on_from(3);
            let variant = format!("{capture} {think} {between}");
            wrong.look(&variant, &script.heard(), |judge| {
                judge.outcome(&["success"]);
                let [told, right] = [judge.login, plain].map(|line| number(line, "tcp.rtt_ns"));
                judge.demand(told <= right + MILLISECOND, || {
                    format!("round trip {told}, right {right}")
                });
                judge.share("handshake", "network", SECOND, 2 * MILLISECOND);
                // In TDS 8.0 TLS comes first.
                let phase = if capture.contains("strict") {
                    "tls"
                } else {
                    "prelogin"
                };
                let usual = number(plain, &format!("phases.{phase}.client_ns"));
                judge.share(phase, "client", usual + think, 2 * MILLISECOND);
            });
        }
    }
}

/// Nobody answers: the attempt runs to its last packet, and all of it is the network's.
#[test]
fn the_time_between_syns_that_nobody_answers_is_the_networks() {
    let mut wrong = Wrong::default();
    for at in [
        &[1_u64][..],
        &[1, 3],
        &[1, 3, 7],
        &[1, 3, 7, 15],
        &[1, 3, 7, 15, 31, 63],
    ] {
        let mut script = Script::after("captures/odbc18-lab-clear", 1);
        let syn = script.original(0);
        for seconds in at {
            script.now = syn.time_ns + seconds * SECOND;
            let again = syn.again(script.now).renumbered(*seconds as u16);
            script.steps.push(Step::Packet(again));
        }
        script.others_pass(600 * SECOND);
        let lasts = at[at.len() - 1] * SECOND;
        wrong.look(&format!("{at:?}"), &script.heard(), |judge| {
            judge.outcome(&["unreachable"]);
            judge.duration(lasts);
            judge.share("handshake", "network", lasts, 0);
            judge.share("handshake", "client", 0, 0);
            judge.share("handshake", "server", 0, 0);
            judge.said("tcp.syn_retransmits", &at.len().into());
            judge.said("tcp.rtt_ns", &Value::Null);
        });
    }
}

/// A reply that its receiver did not get, seen on the server's host: the wait before the first copy is
/// the server's, and the rest the network's.
#[test]
fn a_reply_that_was_slow_and_then_lost_was_the_servers_first_and_then_the_networks() {
    let mut wrong = Wrong::default();
    for (capture, question, answer, phase) in [
        ("captures/odbc18-lab-clear", 4, 5, "prelogin"),
        ("captures/odbc18-lab-tls12", 4, 5, "prelogin"),
        ("captures/odbc18-lab-tls12", 8, 8, "tls"),
        ("captures/tsql-lab-ntlm-loginonly", 12, 12, "login"),
    ] {
        let mut script = Script::after(capture, question);
        script.wait(2 * SECOND);
        let reply = script.original(answer).payload().to_vec();
        script.say(Server, &reply);
        let Some(Step::Packet(first)) = script.steps.last().cloned() else {
            panic!("no reply")
        };
        script.wait(3 * SECOND);
        script.steps.push(Step::Packet(first.again(script.now)));
        script
            .wait(MILLISECOND)
            .ack(Client)
            .goes_on_from(answer + 1);
        wrong.look(&format!("{capture}@{answer}"), &script.heard(), |judge| {
            judge.outcome(&["success"]);
            judge.share(phase, "server", 2 * SECOND, 10 * MILLISECOND);
        });
    }
}
