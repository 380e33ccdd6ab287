//! Peers that speak no TDS 7: told, and beyond a rate only counted.

mod foreign;
mod others;

use harness::agent::of;
use harness::pcap::{self, Packet};
use harness::replay::{Frame, events, frames, said};
use serde_json::json;

use crate::packets::{ACK, FIN, MILLISECOND, connection, file, login_and_close, up_to};
use crate::told::{lines, only, path, says};

/// A port scanner's connection, so many times at once.
fn probes(count: u16) -> Vec<Packet> {
    let mut probe = pcap::packets(&path("drivers/nmap-probe")).unwrap();
    let client = probe[0].source_port().to_vec();
    let mut all = Vec::new();
    for number in 0..count {
        let port = (20_000 + number).to_be_bytes();
        all.extend(probe.iter().cloned().map(|mut packet| {
            let from_client = packet.source_port() == client;
            let own = if from_client {
                packet.source_port()
            } else {
                packet.destination_port()
            };
            own.copy_from_slice(&port);
            packet
        }));
    }
    all.sort_by_key(|packet| packet.time_ns);
    all
}

#[test]
fn a_flood_of_strangers_is_told_in_part_and_counted_in_whole() {
    let events = events(file(&probes(100)).path()).unwrap();
    let logins = of(&events, "login");
    let strangers = logins.iter().map(|login| &login["login"]["stranger"]);
    assert_eq!(strangers.collect::<Vec<_>>(), vec![&json!("other"); 20]);
    assert_eq!(of(&events, "close").len(), 20);
    let loss = &only(&events, "loss")["loss"];
    let said = json!([loss["reason"], loss["count"]]);
    assert_eq!(said, json!(["stranger_suppressed", 80]));
}

#[test]
fn https_on_the_port_of_sql_server_is_no_login() {
    let [logins, _] = lines("drivers/https-on-1433");
    assert_eq!(logins.len(), 3);
    for login in &logins {
        says(
            login,
            &json!({"login.outcome": "closed", "tds": null, "login.stranger": "tls", "auth": null}),
        );
    }
}

#[test]
fn a_probe_that_looks_like_a_request_is_no_login() {
    let [logins, closes] = lines("drivers/nmap-probe");
    says(
        &logins[0],
        &json!({"login.outcome": "aborted", "login.stranger": "other", "connection.partial": false}),
    );
    says(&closes[0], &json!({"close.by": "client", "requests": null}));
}

#[test]
fn no_request_succeeds_at_a_server_that_never_spoke_tds() {
    // Random bytes both ways, the client's behind the headers of a batch, a login and a batch.
    let [logins, _] = lines("drivers/random-on-1433");
    says(
        &logins[0],
        &json!({"login.outcome": "aborted", "login.basis": "observed", "login.stranger": "other", "connection.partial": false}),
    );
}

/// ODBC's PRELOGIN and its answer rewritten as a login of TDS 5.0 and a LOGINACK whose status, 6,
/// refuses there.
#[test]
fn a_refused_login_of_tds_5_is_no_success() {
    let mut all = frames(&path("captures/odbc18-lab-clear")).unwrap();
    let mut rewrite = |start: [u8; 2], kind: u8, body: &[u8]| {
        let is_one = |frame: &&mut Frame| frame.payload.starts_with(&start);
        let payload = &mut all.iter_mut().find(is_one).unwrap().payload;
        payload[0] = kind;
        payload[8..].fill(0);
        payload[8..8 + body.len()].copy_from_slice(body);
    };
    rewrite([0x12, 1], 2, &[]);
    rewrite([4, 1], 4, b"\xAD\x0A\0\x06\x05\0\0\0\0\0\0\0\0\xFD");
    let logins = said(&all, "login").unwrap();
    assert_eq!(logins.len(), 1);
    says(
        &logins[0],
        &json!({"login.outcome": "aborted", "login.stranger": "pre_tds7", "tds": null, "auth": null}),
    );
}

#[test]
fn a_login_from_before_tds_7_is_named_for_what_it_is() {
    let first = connection()[3].clone();
    let mut login = vec![2, 1, 2, 0, 0, 0, 0, 0];
    login.resize(512, 0);
    let login = first.with(0x18, &login, 0, 0);
    let fin = first.with(FIN | ACK, &[], MILLISECOND, 512);
    let [login, _] = login_and_close(&up_to(2, &[login, fin]));
    assert_eq!(login["login"]["stranger"], "pre_tds7", "{login:#}");
    assert_eq!(login["login"]["outcome"], "aborted", "{login:#}");
}
