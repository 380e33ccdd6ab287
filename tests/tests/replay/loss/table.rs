//! More connections open than the table holds: each is still one.

use std::collections::BTreeMap;

use harness::sweep::packet::Side::Client;
use tracer::session::Config;

use crate::hear::{Heard, hear, together};
use crate::script::{MILLISECOND, SECOND, Script};

const CONNECTIONS: u16 = 40;
const FIRST_PORT: u16 = 30_000;

/// Pooled connections: each logs in, asks three times, ten seconds apart, and leaves; those that are
/// older than the agent without their login.
fn pooled(capture: &str, reply: usize, ask: std::ops::Range<usize>, joined: bool) -> Vec<Script> {
    (0..CONNECTIONS)
        .map(|number| {
            let mut script = Script::after(capture, reply + 1);
            if joined {
                script.steps.clear();
            }
            for _ in 0..3 {
                script.wait(10 * SECOND);
                for place in ask.clone() {
                    let packet = script.original(place);
                    script.wait(MILLISECOND).say(packet.side, packet.payload());
                }
            }
            script.wait(10 * SECOND).close(Client);
            script.copy(FIRST_PORT + number, u64::from(number) * 20 * MILLISECOND)
        })
        .collect()
}

fn said(scripts: &[Script], most: usize) -> Heard {
    let config = Config {
        max_connections: most,
        ..Config::default()
    };
    hear(&together(scripts), 1433, config)
}

/// By client port: how many lines of an event, and the names the connection goes by.
fn by_port(heard: &Heard, event: &str) -> BTreeMap<u64, Vec<String>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in heard.of(event) {
        let port = line["client"]["port"].as_u64().unwrap();
        let id = line["connection"]["id"].as_str().unwrap().to_owned();
        all.entry(port).or_default().push(id);
    }
    all
}

const CAPTURES: [(&str, usize, std::ops::Range<usize>); 3] = [
    ("captures/odbc18-lab-clear", 8, 9..11),
    ("captures/odbc18-lab-tls12", 12, 13..15),
    ("captures/odbc18-lab-strict13", 12, 13..15),
];

#[test]
fn a_connection_that_gave_way_is_one_line_of_each_and_one_name_all_the_same() {
    for (capture, reply, ask) in CAPTURES {
        for most in [10, 30, 39] {
            let heard = said(&pooled(capture, reply, ask.clone(), false), most);
            let (logins, closes) = (by_port(&heard, "login"), by_port(&heard, "close"));
            let what = format!("{capture}, {most}");
            for (port, ids) in logins.iter().chain(&closes) {
                assert_eq!(ids.len(), 1, "{what}: lines of {port}");
            }
            for (port, ids) in &closes {
                let other = logins.get(port);
                assert!(
                    other.is_none_or(|other| other == ids),
                    "{what}: names of {port}"
                );
            }
            assert_eq!(closes.len(), usize::from(CONNECTIONS), "{what}: closes");
            assert_eq!(logins.len(), usize::from(CONNECTIONS), "{what}: logins");
            assert!(
                heard.lost("connection_evicted") >= u64::from(CONNECTIONS) - most as u64,
                "{what}: not counted"
            );
            assert_eq!(heard.lost("events_missing"), 0, "{what}");
        }
    }
}

#[test]
fn with_room_for_all_nothing_gives_way() {
    for (capture, reply, ask) in CAPTURES {
        let heard = said(&pooled(capture, reply, ask, false), 100);
        assert_eq!(
            heard.of("login").len(),
            usize::from(CONNECTIONS),
            "{capture}"
        );
        assert_eq!(
            heard.of("close").len(),
            usize::from(CONNECTIONS),
            "{capture}"
        );
        assert_eq!(heard.of("loss").len(), 0, "{capture}");
    }
}

/// Of those that are older than the agent no login is told, with a table too small either.
#[test]
fn connections_older_than_the_agent_have_no_login_in_a_table_too_small() {
    for (capture, reply, ask) in CAPTURES {
        for most in [10, 30, 100] {
            let heard = said(&pooled(capture, reply, ask.clone(), true), most);
            assert_eq!(heard.of("login").len(), 0, "{capture}, {most}");
            let closes = by_port(&heard, "close");
            for (port, ids) in &closes {
                assert_eq!(ids.len(), 1, "{capture}, {most}: closes of {port}");
            }
            assert_eq!(closes.len(), usize::from(CONNECTIONS), "{capture}, {most}");
        }
    }
}
