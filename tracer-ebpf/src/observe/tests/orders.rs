//! Segments in any order tell what they tell in their own.

use super::*;

/// Every order of so many.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else {
        return vec![Vec::new()];
    };
    let insert = |order: &Vec<usize>, at: usize| {
        let mut order = order.clone();
        order.insert(at, last);
        order
    };
    orders(last)
        .iter()
        .flat_map(|order| (0..count).map(|at| insert(order, at)).collect::<Vec<_>>())
        .collect()
}

/// The stream as those who reassemble it have it, `None` where a byte was never told.
fn reassembled(wire: &Wire, direction: Direction, len: usize) -> Vec<Option<u8>> {
    let mut stream = vec![None; len];
    for (event, run) in &wire.heard.told {
        if event.direction == direction as u8 {
            for (span, bytes) in event.told(run) {
                let at = span.from.since(position(direction, 0)).cast_unsigned();
                for (index, byte) in bytes.iter().enumerate() {
                    stream[at as usize + index] = Some(*byte);
                }
            }
        }
    }
    stream
}

/// A server's flight: a certificate in records.
fn flight() -> Vec<u8> {
    [&[0x16, 3, 3, 0, 90][..], &[7; 90]].concat().repeat(4)
}

/// A connection whose client has begun TLS: what the server says then can only be of the handshake.
fn in_handshake() -> Wire {
    let mut wire = Wire::new();
    wire.client(0, &[&[0x16, 3, 1, 0, 40][..], &[1; 40]].concat());
    wire
}

#[test]
fn a_window_of_five_segments_and_a_fin_loses_nothing_in_any_order() {
    let stream = flight();
    let step = stream.len() / 5;
    let cut = |index: usize| {
        let end = if index == 4 {
            stream.len()
        } else {
            (index + 1) * step
        };
        index * step..end
    };
    for order in orders(6) {
        let mut wire = in_handshake();
        for index in &order {
            if *index == 5 {
                wire.end(Direction::ToClient, tcp_flag::FIN, stream.len());
            } else {
                wire.server(cut(*index).start, &stream[cut(*index)]);
            }
        }
        let sent = wire.flow.server().sent;
        let counted = (sent.bytes, sent.packets, sent.retransmits);
        assert_eq!(counted, (stream.len() as u64, 1 + 6, 0), "{order:?}");
        let told = reassembled(&wire, Direction::ToClient, stream.len());
        assert_eq!(
            told,
            stream.iter().copied().map(Some).collect::<Vec<_>>(),
            "{order:?}"
        );
        assert_eq!(wire.told(Kind::Fin).len(), 1);
        assert!(wire.flow.server().holes.are_none(), "{order:?}");
        assert!(
            wire.told(Kind::Segment)
                .iter()
                .all(|(event, _)| event.marks & mark::RETRANSMIT == 0)
        );
    }
}

#[test]
fn each_segment_says_whether_it_leaves_a_hole_or_fills_one() {
    let mut wire = Wire::new();
    for at in [0, 2, 4, 1, 3] {
        wire.server(10 * at, &[7; 10]);
    }
    let segments = wire.told(Kind::Segment);
    let marks: Vec<_> = segments.iter().map(|(event, _)| event.marks).collect();
    let (gap, fills) = (mark::GAP, mark::FILLS_GAP);
    assert_eq!(marks, [0, gap, gap, fills, fills]);
}

#[test]
fn a_retransmission_that_fills_a_hole_and_goes_on_is_told_from_the_hole_on() {
    let mut wire = in_handshake();
    let bytes: Vec<u8> = (0..60).collect();
    wire.server(0, &bytes[..10]);
    wire.server(20, &bytes[20..30]);
    wire.server(0, &bytes);
    let segment = wire.told(Kind::Segment)[3];
    assert_eq!(
        segment.0.marks & (mark::FILLS_GAP | mark::RETRANSMIT),
        mark::FILLS_GAP
    );
    assert_eq!(bytes_of(segment), bytes[10..]);
    let sent = wire.flow.server().sent;
    assert_eq!((sent.bytes, sent.retransmits), (60, 0));
}

#[test]
fn what_a_fin_has_overtaken_is_told_when_it_comes() {
    let mut wire = Wire::new();
    let refusal = [0x15, 3, 3, 0, 2, 2, 40];
    wire.end(Direction::ToClient, tcp_flag::FIN, refusal.len());
    let (fin, _) = wire.told(Kind::Fin)[0];
    assert_eq!(fin.marks & mark::GAP, mark::GAP);
    wire.server(0, &refusal);
    let segment = wire.told(Kind::Segment)[0];
    assert_eq!(
        segment.0.marks & (mark::FILLS_GAP | mark::RETRANSMIT),
        mark::FILLS_GAP
    );
    assert_eq!(bytes_of(segment), refusal);
    assert_eq!(wire.flow.server().sent.bytes, refusal.len() as u64);
    wire.server(0, &refusal);
    assert_eq!(wire.flow.server().sent.retransmits, 1);
}

#[test]
fn a_hole_that_is_filled_at_another_point_is_followed_there() {
    let mut wire = Wire::new();
    wire.server(10, &[7; 10]);
    wire.point = Point::new(2, true);
    wire.server(0, &[7; 10]);
    wire.server(10, &[7; 10]);
    let sent = wire.flow.server().sent;
    assert_eq!((sent.bytes, sent.retransmits), (20, 1));
}

#[test]
fn no_secret_of_a_login_in_five_segments_is_told_in_any_order() {
    let login = Login7 {
        password: 12,
        new_password: 8,
        ..Login7::default()
    };
    let stream = [
        prelogin(),
        login.packet(),
        tds(packet_type::ATTENTION, 1, &[]),
    ]
    .concat();
    let orders = orders(5);
    for shift in 0..stream.len() / 5 {
        let step = stream.len() / 6;
        let cut = |index: usize| {
            let start = if index == 0 { 0 } else { index * step + shift };
            let end = if index == 4 {
                stream.len()
            } else {
                (index + 1) * step + shift
            };
            start..end
        };
        for order in &orders {
            let mut wire = Wire::new();
            for index in order {
                wire.client(cut(*index).start, &stream[cut(*index)]);
            }
            assert!(!wire.bytes().contains(&SECRET), "{order:?}, shift {shift}");
            let sent = wire.flow.client().sent;
            assert_eq!((sent.bytes, sent.retransmits), (stream.len() as u64, 0));
        }
    }
}

#[test]
fn a_server_whose_syn_ack_was_not_seen_is_read_from_its_first_byte() {
    let syn = segment(Direction::ToServer, tcp_flag::SYN, Seq(CLIENT_ISN), 0);
    let reply = tds(packet_type::TABULAR_RESULT, 1, &[0xFD; 13]);
    let joined_late = {
        let mut wire = Wire::new();
        wire.flow = Flow::new(
            &segment(Direction::ToServer, tcp_flag::ACK, Seq(1), 9),
            true,
            1,
        );
        wire.heard.told.clear();
        wire
    };
    let opened = {
        let mut wire = Wire::new();
        wire.flow = Flow::new(&syn, true, 1);
        wire.heard.told.clear();
        wire.see(&syn, &[]);
        wire
    };
    for (mut wire, is_read) in [(opened, true), (joined_late, false)] {
        wire.send(Direction::ToServer, 0, &[]);
        wire.server(0, &reply);
        assert_eq!(wire.flow.server().syn != 0, is_read);
        assert_eq!(wire.bytes().len() > 8, is_read, "beyond the header");
    }
}
