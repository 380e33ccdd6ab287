use super::*;

#[test]
fn all_that_crosses_a_reset_is_told_and_counted() {
    for mut wire in [Wire::new(), Wire::decided()] {
        wire.end(Direction::ToServer, tcp_flag::FIN, 0);
        let before = wire.flow.client().sent.packets;
        let acks = wire.told(Kind::Ack).len();
        wire.end(Direction::ToServer, tcp_flag::RST, 1);
        wire.acknowledge(Direction::ToClient, 1);
        wire.end(Direction::ToServer, tcp_flag::RST, 1);
        assert_eq!(wire.fate, Fate::Keep, "more may be on its way");
        let resets = wire.told(Kind::Rst);
        assert_eq!(resets.len(), 2);
        assert_eq!(resets[1].0.client.packets, before + 2);
        assert_eq!(wire.told(Kind::Ack).len(), acks + 1);
    }
}

#[test]
fn a_fin_that_is_repeated_is_a_retransmission() {
    let mut wire = Wire::decided();
    wire.end(Direction::ToServer, tcp_flag::FIN, 0);
    assert_eq!(wire.flow.client().sent.retransmits, 0);
    wire.end(Direction::ToServer, tcp_flag::FIN, 0);
    assert_eq!(wire.flow.client().sent.retransmits, 1);
    assert_eq!(wire.told(Kind::Fin).len(), 1);
}

#[test]
fn a_flow_ends_with_the_acknowledgement_of_the_second_fin() {
    let mut wire = Wire::decided();
    wire.end(Direction::ToServer, tcp_flag::FIN, 0);
    wire.acknowledge(Direction::ToClient, 0);
    assert_eq!(wire.fate, Fate::Keep);
    wire.end(Direction::ToClient, tcp_flag::FIN, 0);
    assert_eq!(wire.fate, Fate::Keep);
    wire.acknowledge(Direction::ToServer, 1);
    assert_eq!(wire.fate, Fate::Forget);
    assert_eq!(wire.told(Kind::Fin).len(), 2);
}

/// A connection of which `first` is seen first.
fn late(first: &Segment) -> Wire {
    let opened = opens(first, first.from_a, !first.from_a);
    let Opens::Watched { to_server } = opened else {
        panic!("{opened:?}");
    };
    let mut wire = Wire::new();
    wire.heard.told.clear();
    wire.flow = Flow::new(first, to_server, 1);
    wire.see(first, &[]);
    wire
}

#[test]
fn the_end_of_an_unknown_connection_is_told_as_one_joined_late() {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let flags = tcp_flag::FIN | tcp_flag::ACK;
        let mut wire = late(&segment(direction, flags, position(direction, 0), 0));
        assert_eq!(wire.fate, Fate::Keep, "the other side's is to come");
        wire.acknowledge(direction.reversed(), 0);
        wire.end(direction.reversed(), tcp_flag::FIN, 0);
        wire.acknowledge(direction, 1);
        assert_eq!(wire.fate, Fate::Forget);
        let fins = wire.told(Kind::Fin);
        let told: Vec<_> = fins.iter().map(|(fin, _)| fin.direction).collect();
        assert_eq!(told, [direction as u8, direction.reversed() as u8]);
        assert!(
            fins.iter()
                .all(|(fin, _)| fin.marks & mark::JOINED_LATE != 0)
        );
    }
}

#[test]
fn the_reset_of_an_unknown_connection_is_told_and_leaves_no_flow() {
    let direction = Direction::ToClient;
    let wire = late(&segment(
        direction,
        tcp_flag::RST,
        position(direction, 0),
        0,
    ));
    assert_eq!(wire.told(Kind::Rst).len(), 1);
    assert_eq!(wire.fate, Fate::Forget);
}
