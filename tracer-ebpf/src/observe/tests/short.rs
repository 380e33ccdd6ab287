//! A short record says what the whole one would.

use super::*;
use crate::short::{ShortHeader, ShortSyn, WHOLE_EVERY};

/// Checks what a short record would say of an event, if one may tell it; whether it may.
pub(super) fn says_the_same(told: &Told<'_>) -> bool {
    let event = told.event();
    if told.is_short_syn() {
        let mut short = ShortSyn::default();
        told.lay_out_syn(&mut short);
        assert_eq!(short.event(), event);
        return true;
    }
    if !told.is_short_header() {
        return false;
    }
    let mut short = ShortHeader::default();
    told.lay_out_header(&mut short);
    let mut before = event;
    (before.client.last_data, before.server.last_data) = (7, 7);
    let mut expected = event;
    (expected.tcp_flags, expected.window) = (tcp_flag::ACK, 0);
    expected.run_seq = Seq(0);
    expected.header[2..].fill(0);
    assert_eq!(short.born, event.born as u32);
    assert_eq!(short.event(&before, event.number.wrapping_sub(3)), expected);
    true
}

#[test]
fn a_handshake_is_told_in_short_unless_there_is_more_to_it() {
    let wire = Wire::new();
    assert_eq!(
        wire.heard.short,
        [Kind::Syn, Kind::SynAck].map(|kind| kind as u8)
    );

    let syn = segment(Direction::ToServer, tcp_flag::SYN, Seq(CLIENT_ISN), 0);
    let mut again = Wire::new();
    again.heard = Heard::default();
    again.see(&syn, &[]);
    assert_eq!(again.told(Kind::Syn).len(), 1);
    assert!(again.heard.short.is_empty(), "it is the second one");
}

#[test]
fn headers_after_the_first_answer_are_told_in_short_but_now_and_then() {
    let mut wire = Wire::decided();
    wire.config.requests = crate::config::requests::TOLD;
    wire.heard.short.clear();
    let (asks, answers) = (batch(40), tds(packet_type::TABULAR_RESULT, 1, &[1; 90]));
    for index in 0..40 {
        wire.client(index * asks.len(), &asks);
        wire.server(index * answers.len(), &answers);
    }
    let headers = wire.told(Kind::Header);
    assert_eq!(headers.len(), 80);
    let whole = headers
        .iter()
        .filter(|(event, _)| event.number.is_multiple_of(WHOLE_EVERY));
    // That of the first request, too.
    assert_eq!(wire.heard.short.len(), 80 - 1 - whole.count());
}
