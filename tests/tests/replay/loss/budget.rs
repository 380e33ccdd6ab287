//! Logins whose replies are longer than what is copied of them: a real connection without
//! encryption, its login answered at length.

use harness::pcap::Packet;
use serde_json::Value;

use crate::packets::{CLIENT_FIN, MILLISECOND, REPLY, all_told, connection};
use crate::told::only;

/// The client's first request in the connection.
const REQUEST: usize = 9;
/// The body of one TDS packet of the answer.
const BODY: u16 = 1000;
/// That packet.
const PACKET: u16 = BODY + 8;

/// Two ENVCHANGE tokens (MS-TDS §2.2.7.9) that fill a packet: a long name of a language, and the one before.
fn changes() -> Vec<u8> {
    const CHARACTERS: u8 = 245;
    let len = BODY / 2 - 3;
    let mut token = vec![0xE3];
    token.extend(len.to_le_bytes());
    token.extend([2, CHARACTERS]);
    token.extend([b'x', 0].repeat(CHARACTERS.into()));
    token.extend([2, b'o', 0, b'l', 0]);
    token.repeat(2)
}

/// The connection up to its login, answered by so many packets of changes; the real answer
/// comes as the last of them, and then these.
fn answered_at_length(packets: u8, more: &[usize]) -> Vec<Packet> {
    let all = connection();
    let reply = &all[REPLY];
    let [high, low] = PACKET.to_be_bytes();
    let mut made = all[..REPLY].to_vec();
    for number in 0..packets {
        let header = [4, 0, high, low, 0, 51, number, 0];
        let payload = [&header[..], &changes()].concat();
        made.push(reply.with(0x18, &payload, 0, i32::from(number) * i32::from(PACKET)));
    }
    let before = i32::from(packets) * i32::from(PACKET);
    made.push(reply.with(0x18, reply.payload(), MILLISECOND, before));
    for place in more {
        let packet = &all[*place];
        made.push(
            packet
                .with(
                    packet.clone().flags().to_owned(),
                    packet.payload(),
                    MILLISECOND,
                    0,
                )
                .acknowledging(before),
        );
    }
    made
}

/// The `login` of the connection.
fn login(packets: &[Packet]) -> Value {
    only(&all_told(packets), "login")
}

#[test]
fn a_long_reply_within_the_budget_is_read_to_its_end() {
    let login = login(&answered_at_length(10, &[]));
    assert_eq!(login["login"]["outcome"], "success", "{login:#}");
    assert_eq!(login["login"]["basis"], "observed");
    assert_eq!(login["connection"]["partial"], false);
}

#[test]
fn what_came_of_a_login_whose_acknowledgement_was_not_copied_is_unknown() {
    let login = login(&answered_at_length(20, &[CLIENT_FIN]));
    assert_eq!(login["login"]["outcome"], "unknown", "{login:#}");
    assert_eq!(
        login["connection"]["partial_reasons"],
        serde_json::json!(["gap"])
    );
}

#[test]
fn a_request_after_a_reply_that_was_not_copied_shows_that_the_login_succeeded() {
    let login = login(&answered_at_length(20, &[REQUEST]));
    assert_eq!(login["login"]["outcome"], "success", "{login:#}");
    assert_eq!(login["login"]["basis"], "inferred");
    let phase = &login["phases"]["login"];
    // The headers tell when the reply was over.
    assert_eq!(phase["complete"], true, "{login:#}");
    assert_eq!(
        login["connection"]["partial_reasons"],
        serde_json::json!(["gap"])
    );
}
