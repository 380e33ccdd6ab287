//! Federated authentication: where the token is to be had, and how long the client took to fetch it.

use harness::replay::{Frame, frames, rewrite, said};
use serde_json::{Value, json};

use crate::told::{login, path};

const ON_DEMAND: &str = "rows/mssqltds-clear-token-on-demand";

#[test]
fn the_fetch_of_a_token_is_a_wait_for_the_client() {
    let login = login(ON_DEMAND);
    assert_eq!(login["tds"]["fedauth_required"], true, "{login:#}");
    let expected = json!({
        "kind": "entra",
        "rounds": 1,
        "entra": {
            "token_fetch_ns": 120_351,
            "sts_host": "login.example",
            "spn": "https://database.example/",
        },
    });
    assert_eq!(login["auth"], expected);
    let auth = &login["phases"]["auth"];
    let [client, server] = [&auth["client_ns"], &auth["server_ns"]];
    assert_eq!(
        json!([client, server]),
        json!([120_351, 35_770]),
        "{auth:#}"
    );
    assert_eq!(login["tds"]["features_acknowledged"], json!(["fedauth"]));
}

/// No driver at hand sends one: it is added to what one sent (MS-TDS §2.2.6.5, option 7).
#[test]
fn a_nonce_counts_where_both_sides_send_one() {
    let original = frames(&path(ON_DEMAND)).unwrap();
    let is_prelogin = |frame: &Frame| frame.payload.starts_with(&[0x12, 1]);
    let asked = original.iter().position(is_prelogin).unwrap();
    let is_answer = |frame: &Frame| frame.payload.starts_with(&[4, 1]);
    let answered = original.iter().position(is_answer).unwrap();
    for (sides, nonce) in [
        (&[asked, answered][..], json!(true)),
        (&[asked], Value::Null),
        (&[answered], Value::Null),
    ] {
        let mut frames = original.clone();
        for side in sides {
            let longer = with_nonce(&frames[*side].payload);
            rewrite(&mut frames, *side, longer);
        }
        let login = &said(&frames, "login").unwrap()[0];
        assert_eq!(login["auth"]["entra"]["nonce"], nonce, "{login:#}");
        assert_eq!(login["auth"]["entra"]["token_fetch_ns"], 120_351);
    }
}

/// A PRELOGIN packet with one option more.
fn with_nonce(packet: &[u8]) -> Vec<u8> {
    const HEADER: usize = 8;
    const ENTRY: usize = 5;
    const NONCE: [u8; 32] = [0x5A; 32];
    let (header, body) = packet.split_at(HEADER);
    let entries = body.chunks(ENTRY).take_while(|entry| entry[0] != 0xFF);
    let mut table: Vec<u8> = entries.flatten().copied().collect();
    let data = &body[table.len() + 1..];
    for entry in table.chunks_mut(ENTRY) {
        let offset = u16::from_be_bytes([entry[1], entry[2]]) + ENTRY as u16;
        entry[1..3].copy_from_slice(&offset.to_be_bytes());
    }
    let at = (table.len() + ENTRY + 1 + data.len()) as u16;
    table.push(7);
    table.extend(at.to_be_bytes());
    table.extend((NONCE.len() as u16).to_be_bytes());
    let mut longer = [header, &table, &[0xFF], data, &NONCE].concat();
    let len = (longer.len() as u16).to_be_bytes();
    longer[2..4].copy_from_slice(&len);
    longer
}
