//! Peers that do not speak TDS, or say nothing: nothing is owed to them, and none hides a sick server.

use harness::sweep::packet::Side::{Client, Server};
use serde_json::Value;
use tracer::{record::Nanos, session::Config, sink::Filter};

use crate::{
    hear::{hear, number, together},
    judge::Wrong,
    script::{MILLISECOND, SECOND, Script},
};

const PORT: u16 = 1433;

/// What is no TDS.
fn answers() -> [(&'static str, Vec<u8>); 5] {
    [
        ("zeros", vec![0; 24]),
        (
            "HTTP",
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec(),
        ),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
        ("MySQL", [&[0x4A, 0, 0, 0, 0x0A][..], &[0x38; 73]].concat()),
        (
            "noise",
            (0..200_u32)
                .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80)
                .collect(),
        ),
    ]
}

#[test]
fn a_server_that_answers_no_tds_owes_nothing_more() {
    let mut wrong = Wrong::default();
    for (name, answer) in answers() {
        for wait in [100 * MILLISECOND, 2 * SECOND, 15 * SECOND, 200 * SECOND] {
            for (by, by_reset) in [
                (Client, false),
                (Client, true),
                (Server, false),
                (Server, true),
            ] {
                let mut script = Script::after("captures/odbc18-lab-clear", 5);
                script.wait(MILLISECOND).say(Server, &answer);
                script.wait(MILLISECOND / 10).ack(Client).others_pass(wait);
                if by_reset {
                    script.reset(by);
                } else {
                    script.close(by);
                }
                let heard = script.heard();
                let variant = format!("{name} {wait} {by:?} {by_reset}");
                wrong.look(&variant, &heard, |judge| {
                    // An end by RST, and one by the server, have names that come before.
                    match (by, by_reset) {
                        (Client, false) => judge.outcome(&["aborted"]),
                        (Server, false) => judge.outcome(&["aborted", "closed"]),
                        (_, true) => judge.outcome(&["aborted", "reset"]),
                    }
                    let owed_by = judge.login["login"]["owed_by"].clone();
                    judge.demand(owed_by != "server", || "owed by the server".to_owned());
                    judge.share("prelogin", "client", wait, 5 * MILLISECOND);
                    judge.said("tds.encryption_answered", &Value::Null);
                    judge.said("tds.encryption", &Value::Null);
                });
                for pending in heard.of("pending") {
                    let owed_by = &pending["login"]["owed_by"];
                    wrong.demand(owed_by != "server", || {
                        format!("{variant}: pending {owed_by}")
                    });
                }
            }
        }
    }
}

/// What ends a connection.
type End = fn(&mut Script);

/// A hundred clients within half a second.
fn hundred(ends: impl Fn(&mut Script)) -> Vec<Script> {
    (0..100_u64)
        .map(|number| {
            let mut script = Script::after("captures/odbc18-lab-clear", 3)
                .copy(20_000 + number as u16, number * 5 * MILLISECOND);
            script.wait(MILLISECOND / 5);
            ends(&mut script);
            script
        })
        .collect()
}

fn slow() -> Filter {
    Filter {
        slow: Some(Nanos(SECOND)),
        ..Filter::default()
    }
}

#[test]
fn connections_that_a_server_ends_at_once_are_all_told() {
    let ends: [(&str, End); 3] = [
        ("reset", |script| {
            script.reset(Server);
        }),
        ("closed", |script| {
            script.close(Server);
        }),
        ("reset", |script| {
            script.ack(Server).wait(MILLISECOND).reset(Server);
        }),
    ];
    for (outcome, end) in ends {
        let scripts = hundred(end);
        let heard = hear(&together(&scripts), PORT, Config::default());
        let logins = heard.of("login");
        let right = |line: &&&Value| line["login"]["outcome"] == outcome;
        let told = logins.iter().filter(right).count();
        assert_eq!([logins.len(), told], [100, 100], "{outcome}");
        assert_eq!(heard.of("close").len(), 100, "{outcome}");
        assert_eq!(heard.lost("stranger_suppressed"), 0, "{outcome}");
        assert_eq!(heard.logins_that_pass(&slow()), 100, "--slow, {outcome}");
        let strangers = logins
            .iter()
            .filter(|line| !line["login"]["stranger"].is_null());
        assert_eq!(strangers.count(), 0, "{outcome}");
        let mild = logins.iter().filter(|line| line["severity"] != "error");
        assert_eq!(mild.count(), 0, "{outcome}: what failed is an error");
    }
}

#[test]
fn probes_that_say_nothing_are_counted_and_not_told_one_by_one() {
    let scripts = hundred(|script| {
        script.close(Client);
    });
    let heard = hear(&together(&scripts), PORT, Config::default());
    let told = heard.of("login").len() as u64;
    assert!((1..=30).contains(&told), "{told} told");
    assert_eq!(told + heard.lost("stranger_suppressed"), 100, "all counted");
    assert_eq!(
        heard.logins_that_pass(&slow()),
        0,
        "no probe is a failed login"
    );
}

/// Between a hundred probes a sick server's resets are told all the same.
#[test]
fn probes_do_not_use_up_what_may_be_told_of_others() {
    let probes = hundred(|script| {
        script.close(Client);
    });
    let resets = hundred(|script| {
        script.reset(Server);
    });
    let resets: Vec<_> = resets
        .iter()
        .map(|script| {
            let Some(first) = script.clone().packets().next().map(|packet| packet.clone()) else {
                panic!("no packet")
            };
            let port = first.client_port() + 10_000;
            script.copy(port, MILLISECOND)
        })
        .collect();
    let all = together(probes.iter().chain(&resets));
    let heard = hear(&all, PORT, Config::default());
    let of = |outcome| {
        let logins = heard.of("login");
        logins
            .iter()
            .filter(|line| line["login"]["outcome"] == outcome)
            .count()
    };
    assert_eq!(of("reset"), 100);
    assert!((1..=30).contains(&of("aborted")), "{}", of("aborted"));
}

/// A client of another protocol, which the server leaves unanswered: only a PRELOGIN, a hello, a
/// login, a token or a request opens a debt of the server's, so the client still owes the first.
#[test]
fn a_client_that_speaks_no_tds_is_owed_nothing() {
    let mut wrong = Wrong::default();
    for (name, question) in [
        ("HTTP", &b"GET / HTTP/1.1\r\nHost: db\r\n\r\n"[..]),
        ("SSH", b"SSH-2.0-libssh\r\n"),
        ("noise", &[0xF7; 300]),
    ] {
        for by in [Client, Server] {
            let mut script = Script::after("captures/odbc18-lab-clear", 3);
            script.wait(MILLISECOND).say(Client, question);
            script
                .wait(MILLISECOND)
                .ack(Server)
                .wait(20 * SECOND)
                .close(by);
            wrong.look(&format!("{name} {by:?}"), &script.heard(), |judge| {
                judge.never(&["timeout", "success", "failed", "tls_failed", "unreachable"]);
                let owed_by = judge.login["login"]["owed_by"].clone();
                judge.demand(owed_by != "server", || "owed by the server".to_owned());
                let waited = number(judge.login, "phases.prelogin.server_ns");
                judge.demand(waited < SECOND, || {
                    format!("the server was waited for {waited}")
                });
            });
        }
    }
}
