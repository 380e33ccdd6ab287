//! TCP Fast Open (RFC 7413): the first payload comes with the SYN.

use super::*;

/// A connection whose SYN brings a message, so many of whose bytes the answer acknowledges.
fn opened_with(message: &[u8], acknowledged: usize) -> Wire {
    let syn = segment(
        Direction::ToServer,
        tcp_flag::SYN,
        Seq(CLIENT_ISN),
        message.len(),
    );
    let mut wire = Wire::new();
    wire.heard.told.clear();
    wire.flow = Flow::new(&syn, true, 1);
    wire.see(&syn, message);
    let flags = tcp_flag::SYN | tcp_flag::ACK;
    let mut answer = segment(Direction::ToClient, flags, Seq(SERVER_ISN), 0);
    answer.ack = position(Direction::ToServer, acknowledged);
    wire.see(&answer, &[]);
    wire
}

fn assert_counted(wire: &Wire, bytes: usize, retransmits: u32) {
    let sent = wire.flow.client().sent;
    assert_eq!((sent.bytes, sent.retransmits), (bytes as u64, retransmits));
}

#[test]
fn what_comes_with_a_syn_is_told_behind_it() {
    let message = prelogin();
    let mut wire = opened_with(&message, message.len());
    wire.client(message.len(), &message);
    assert_counted(&wire, 2 * message.len(), 0);
    let kinds: Vec<_> = wire
        .heard
        .told
        .iter()
        .map(|(event, _)| event.kind)
        .collect();
    let expected = [
        Kind::Syn,
        Kind::Segment,
        Kind::SynAck,
        Kind::Ack,
        Kind::Segment,
    ];
    assert_eq!(kinds, expected.map(|kind| kind as u8));
    let (syn, _) = &wire.heard.told[0];
    assert_eq!(
        (syn.seq, syn.time),
        (Seq(CLIENT_ISN), wire.heard.told[1].0.time)
    );
    let (first, _) = &wire.heard.told[1];
    assert_eq!(
        (first.seq, first.run_seq),
        (position(Direction::ToServer, 0), first.seq)
    );
    assert_eq!(bytes_of(&wire.heard.told[1]), message);
    assert_eq!(
        wire.flow.client().next_header,
        position(Direction::ToServer, 2 * message.len())
    );
}

#[test]
fn what_was_refused_and_is_sent_again_is_no_retransmission() {
    let message = prelogin();
    let half = message.len() / 2;
    for parts in [
        &[(0, message.len())][..],
        &[(0, half), (half, message.len())],
    ] {
        let mut wire = opened_with(&message, 0);
        for (from, to) in parts {
            wire.client(*from, &message[*from..*to]);
        }
        assert_counted(&wire, message.len(), 0);
        wire.client(0, &message);
        assert_counted(&wire, message.len(), 1);
        wire.client(message.len(), &message);
        assert_counted(&wire, 2 * message.len(), 1);
    }
}

#[test]
fn a_syn_that_is_repeated_counts_once_as_a_retransmission_with_payload_or_without() {
    for again in [&[][..], &prelogin()] {
        let message = prelogin();
        let mut wire = opened_with(&message, message.len());
        let syn = segment(
            Direction::ToServer,
            tcp_flag::SYN,
            Seq(CLIENT_ISN),
            again.len(),
        );
        wire.see(&syn, again);
        assert_counted(&wire, message.len(), 1);
    }
}

#[test]
fn no_secret_that_comes_with_a_syn_is_told() {
    let login = Login7 {
        password: 12,
        ..Login7::default()
    };
    let stream = login.packet();
    for cut in 1..stream.len() {
        for acknowledged in [0, cut] {
            let mut wire = opened_with(&stream[..cut], acknowledged);
            wire.client(acknowledged, &stream[acknowledged..]);
            assert!(!wire.bytes().contains(&SECRET), "cut at {cut}");
        }
    }
}
