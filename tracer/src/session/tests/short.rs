//! What is told in short is told as ever.

use tracer_ebpf::{framing::TDS_HEADER, short::ShortHeader};

use super::*;

/// A message of one packet that passes whole.
fn message(told: &mut Told, direction: Direction, later: u64) -> Event {
    let kind = match direction {
        Direction::ToServer => packet_type::SQL_BATCH,
        Direction::ToClient => packet_type::TABULAR_RESULT,
    };
    let mut event = told.event(Kind::Header, direction, later, 0);
    event.framing = Framing::Tds as u8;
    // Its login was over before that.
    event.marks = mark::FIRST | mark::COMPLETE | mark::JOINED_LATE;
    event.packet_len = TDS_HEADER + 40;
    event.header = [kind, 1, 0, 48, 0, 0, 0, 0];
    event
}

/// The same in short; the other side has sent something a millisecond before that.
fn in_short(event: &Event) -> ShortHeader {
    ShortHeader {
        kind: Kind::ShortHeader as u8,
        what: event.kind,
        direction: event.direction,
        marks: event.marks,
        ttl: event.ttl,
        framing: event.framing,
        header: [event.header[0], event.header[1]],
        time: event.time,
        key: event.key,
        born: event.born as u32,
        since_other: MILLISECOND as u32,
        packet_len: event.packet_len as u16,
        number: event.number as u16,
    }
}

/// A connection with requests, all but the first of them told whole or in short; `lost` of the records is.
fn conversation(is_short: bool, lost: Option<u64>) -> Told {
    let mut told = Told::new(Config {
        requests: true,
        ..Config::default()
    });
    for index in 0..40 {
        let direction = if index % 2 == 0 {
            Direction::ToServer
        } else {
            Direction::ToClient
        };
        let at = (2 + index) * MILLISECOND;
        let mut event = message(&mut told, direction, at);
        let sent = |at: u64| Counters {
            last_data: START + at,
            ..Counters::default()
        };
        let before = sent(at - MILLISECOND);
        (event.client, event.server) = match direction {
            Direction::ToServer => (sent(at), before),
            Direction::ToClient => (before, sent(at)),
        };
        if lost == Some(index) {
            continue;
        }
        if is_short && index > 0 {
            let short = in_short(&event);
            told.engine.on_event(Input::Header(&short), &mut told.heard);
        } else {
            told.tell(&event);
        }
    }
    told.closes(Direction::ToServer, 50 * MILLISECOND);
    told
}

#[test]
fn requests_that_are_told_in_short_are_told_as_if_they_were_whole() {
    let (whole, short) = (conversation(false, None), conversation(true, None));
    let requests = whole.heard.count(|body| matches!(body, Body::Request(_)));
    assert_eq!(requests, 20);
    assert_eq!(
        format!("{:?}", short.heard.0),
        format!("{:?}", whole.heard.0)
    );
}

#[test]
fn one_that_is_lost_among_them_is_missed() {
    let told = conversation(true, Some(21));
    let closes = told.heard.closes();
    let (facts, _) = closes.first().unwrap();
    assert!(
        facts
            .connection
            .partial_reasons
            .contains(&PartialReason::EventsLost)
    );
}

#[test]
fn a_header_in_short_of_a_connection_that_nobody_knows_opens_none() {
    let mut told = Told::new(Config::default());
    let event = message(&mut told, Direction::ToServer, 0);
    told.engine
        .on_event(Input::Header(&in_short(&event)), &mut told.heard);
    assert_eq!(told.engine.standing(), Standing::default());
}
