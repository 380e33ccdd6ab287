//! A host between client and server, or theirs, that rewrites addresses: what passes twice under other
//! addresses is one connection.

use harness::{
    replay::field,
    sweep::{
        packet::{Packet, Side},
        sources::fixture,
    },
};
use serde_json::Value;
use tracer::session::Config;

use crate::{
    hear::{Heard, hear, together},
    judge::Wrong,
    script::{MICROSECOND, Script},
};

const CAPTURES: [&str; 5] = [
    "captures/odbc18-lab-clear",
    "captures/odbc18-lab-tls12",
    "captures/odbc18-lab-strict13",
    "captures/odbc18-lab-mars-loginonly",
    "captures/tsql-lab-ntlm-loginonly",
];
/// The last byte of the address by which the server is published.
const PUBLISHED: u8 = 77;
/// What a host needs to pass a packet on.
const PASSING_ON: u64 = 5 * MICROSECOND;

/// The connection as it passes beside its rewriting, before or behind it.
fn beside(script: &Script, passes_last: Side, change: impl Fn(&Packet) -> Packet) -> Script {
    script.moved(0, |packet| {
        let later = u64::from(packet.side == passes_last) * PASSING_ON;
        change(packet).at(packet.time_ns + later)
    })
}

/// Seen on both sides of the rewriting.
fn twice(script: &Script) -> Heard {
    let before = beside(script, Side::Server, |packet| packet.of_server(PUBLISHED));
    let behind = beside(script, Side::Client, Packet::clone);
    hear(&together([&before, &behind]), 1433, Config::default())
}

#[test]
fn a_connection_that_passes_under_two_addresses_is_told_once_by_the_servers() {
    let mut wrong = Wrong::default();
    for capture in CAPTURES {
        let connections = fixture(capture).unwrap();
        let connection = &connections[0];
        for kept in [1, 2, connection.packets.len()] {
            let script = Script::of(connection, kept);
            let plain = script.heard();
            let before = script
                .moved(0, |packet| packet.of_server(PUBLISHED))
                .heard();
            let (Ok((plain, _)), Ok((outside, _))) = (plain.only(), before.only()) else {
                panic!("{capture}@{kept}: not one connection");
            };
            wrong.look(&format!("{capture}@{kept}"), &twice(&script), |judge| {
                for path in [
                    "login.outcome",
                    "tds.encryption",
                    "server.address",
                    "tls.cipher",
                ] {
                    let [told, right] = [judge.login, plain].map(|line| field(line, path).cloned());
                    judge.demand(told == right, || {
                        format!("{path} {told:?}, right {right:?}")
                    });
                }
                for line in [judge.login, judge.close] {
                    let other = field(line, "nat").and_then(|nat| nat.get(0)).cloned();
                    let told = other.as_ref().and_then(|nat| field(nat, "server.address"));
                    let right = field(outside, "server.address");
                    judge.demand(told == right, || format!("nat {other:?}, right {right:?}"));
                }
                // The other host sees it by the address that is published.
                let right = field(outside, "connection.id").unwrap_or(&Value::Null);
                judge.said("connection.id", right);
            });
        }
    }
}
