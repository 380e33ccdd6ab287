//! What has no place in the connection changes nothing of it, and is counted.

use super::*;

const STRANGE: [LossReason; 1] = [LossReason::OutOfWindow];

impl Wire {
    /// A segment, which opens another connection where it does that.
    fn meet(&mut self, segment: &Segment) {
        if self.flow.is_reopened_by(segment) {
            let rival = self.flow.rival;
            let to_server = !segment.from_a;
            self.flow = Flow::new(segment, to_server, self.now + 1);
            if segment.has(tcp_flag::ACK) {
                self.flow.follow(&rival);
            }
        }
        self.see(segment, &[]);
    }
}

fn reset(direction: Direction, seq: Seq) -> Segment {
    segment(direction, tcp_flag::RST, seq, 0)
}

/// A SYN of another connection between the same ends.
fn other_syn() -> Segment {
    segment(Direction::ToServer, tcp_flag::SYN, Seq(0xDEAD_BEEF), 0)
}

/// What a server says to it.
fn answer_to(syn: &Segment, flags: u8) -> Segment {
    let mut answer = segment(Direction::ToClient, flags | tcp_flag::ACK, Seq(77), 0);
    answer.ack = syn.seq.add(1);
    answer
}

#[test]
fn a_reset_from_outside_the_window_is_counted_and_ends_nothing() {
    for direction in [Direction::ToServer, Direction::ToClient] {
        for wrong in [0x4000_0000, 0x8000_0000, u32::MAX - 1] {
            let mut wire = Wire::new();
            wire.client(0, &prelogin());
            let told = wire.heard.told.len();
            let packets = wire.flow.half(direction).sent.packets;
            wire.see(&reset(direction, position(direction, 0).add(wrong)), &[]);
            assert_eq!(wire.heard.told.len(), told);
            assert_eq!(wire.heard.lost, STRANGE, "{wrong:#x}");
            assert_eq!((wire.flow.reset, wire.fate), (0, Fate::Keep));
            assert_eq!(wire.flow.half(direction).sent.packets, packets);
        }
    }
}

#[test]
fn a_reset_where_its_side_goes_on_or_its_peer_takes_data_is_believed() {
    for direction in [Direction::ToServer, Direction::ToClient] {
        for at in [0, 500, 60_000] {
            let mut wire = Wire::new();
            wire.send(direction, 0, &[7; 500]);
            wire.see(&reset(direction, position(direction, at)), &[]);
            assert_eq!(wire.told(Kind::Rst).len(), 1, "{at}");
            assert!(
                wire.heard
                    .lost
                    .iter()
                    .all(|reason| *reason != LossReason::OutOfWindow)
            );
        }
    }
}

/// What the server sent before it had the client's FIN is answered by a socket that is gone.
#[test]
fn a_reset_from_before_its_sides_own_fin_is_believed() {
    let mut wire = Wire::decided();
    wire.end(Direction::ToServer, tcp_flag::FIN, 0);
    wire.acknowledge(Direction::ToClient, 1);
    let next = wire.flow.client().next_seq;
    for (seq, believed) in [(next.back(2), 0), (next.back(1), 1)] {
        wire.see(&reset(Direction::ToServer, seq), &[]);
        assert_eq!(wire.told(Kind::Rst).len(), believed);
    }
}

#[test]
fn a_reset_that_answers_a_syn_must_acknowledge_it() {
    for (beyond, believed) in [(0, false), (1, true), (2, false), (99, false)] {
        let syn = segment(Direction::ToServer, tcp_flag::SYN, Seq(CLIENT_ISN), 0);
        let mut wire = Wire::new();
        wire.flow = Flow::new(&syn, true, 1);
        wire.heard.told.clear();
        wire.see(&syn, &[]);
        let mut refusal = reset(Direction::ToClient, Seq(0));
        refusal.flags |= tcp_flag::ACK;
        refusal.ack = Seq(CLIENT_ISN).add(beyond);
        wire.see(&refusal, &[]);
        assert_eq!(
            wire.told(Kind::Rst).len(),
            usize::from(believed),
            "{beyond}"
        );
        assert_eq!(wire.heard.lost.len(), usize::from(!believed));
    }
}

#[test]
fn a_reset_is_believed_of_a_connection_of_which_too_little_is_known() {
    let first = segment(Direction::ToClient, tcp_flag::ACK, Seq(5), 10);
    let mut wire = Wire::new();
    wire.flow = Flow::new(&first, false, 1);
    wire.see(&first, &[7; 10]);
    wire.see(&reset(Direction::ToServer, Seq(0xDEAD_BEEF)), &[]);
    assert_eq!(wire.told(Kind::Rst).len(), 1);
}

#[test]
fn a_strange_reset_that_passes_two_points_is_counted_once() {
    let mut wire = Wire::new();
    let strange = reset(Direction::ToClient, Seq(0xDEAD_BEEF));
    wire.see(&strange, &[]);
    wire.point = Point::new(2, false);
    wire.see(&strange, &[]);
    assert_eq!(wire.heard.lost, STRANGE);
}

#[test]
fn a_syn_inside_a_living_connection_is_counted_once_the_other_side_goes_on() {
    let mut wire = Wire::new();
    let before = wire.heard.told.len();
    for _ in 0..3 {
        wire.meet(&other_syn());
    }
    assert_eq!(wire.heard.told.len(), before);
    assert_eq!(wire.heard.lost, []);
    wire.client(0, &prelogin());
    assert_eq!(wire.heard.lost, [], "its sender says nothing of it");
    wire.server(0, &prelogin());
    assert_eq!(wire.heard.lost, STRANGE);
    wire.server(prelogin().len(), &prelogin());
    assert_eq!(wire.heard.lost, STRANGE);
    assert_eq!(wire.flow.client().sent.isn, Seq(CLIENT_ISN));
    assert_eq!(wire.told(Kind::Segment).len(), 3);
}

#[test]
fn a_syn_that_gives_way_to_another_one_is_counted() {
    let mut wire = Wire::new();
    for number in 0..4 {
        let mut syn = other_syn();
        syn.seq = syn.seq.add(number);
        wire.meet(&syn);
        wire.meet(&syn);
    }
    assert_eq!(wire.heard.lost, [LossReason::OutOfWindow; 3]);
}

#[test]
fn a_syn_that_is_answered_opens_a_connection_of_which_nothing_is_missing() {
    for (flags, kind) in [(tcp_flag::SYN, Kind::SynAck), (tcp_flag::RST, Kind::Rst)] {
        let mut wire = Wire::new();
        wire.client(0, &prelogin());
        wire.heard.told.clear();
        let syn = other_syn();
        wire.meet(&syn);
        let asked = wire.now;
        wire.meet(&answer_to(&syn, flags));
        let told: Vec<_> = wire.heard.told.iter().map(|(event, _)| event).collect();
        let [syn_told, answer] = told[..] else {
            panic!("{told:?}");
        };
        assert_eq!((syn_told.kind, answer.kind), (Kind::Syn as u8, kind as u8));
        assert_eq!((syn_told.direction, answer.direction), (0, 1));
        assert_eq!((syn_told.number, answer.number), (1, 1));
        assert_eq!(
            (syn_told.time, syn_told.born, answer.born),
            (asked, asked, asked)
        );
        assert_eq!((syn_told.seq, syn_told.client.isn), (syn.seq, syn.seq));
        assert_eq!((syn_told.tcp_flags, syn_told.ttl), (tcp_flag::SYN, 64));
        assert_eq!(syn_told.marks | answer.marks, 0);
        assert_eq!(answer.client.packets, 1);
        assert_eq!(wire.heard.lost, []);
    }
}

#[test]
fn a_syn_ack_with_another_number_moves_no_stream() {
    let mut wire = Wire::new();
    let mut answer = answer_to(&other_syn(), tcp_flag::SYN);
    answer.ack = Seq(CLIENT_ISN).add(1);
    wire.meet(&answer);
    assert_eq!(wire.flow.server().sent.isn, Seq(SERVER_ISN));
    assert_eq!(wire.heard.lost, STRANGE);
}
