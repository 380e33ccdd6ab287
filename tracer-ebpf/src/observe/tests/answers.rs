//! A SYN-ACK that passes no hook, of which the kernel's TCP says when it was sent.

use super::*;

const SECOND: u64 = 1_000_000_000;

/// A SYN, which the server's host answers at this time.
fn asked(answered: u64) -> Wire {
    let mut wire = Wire::begin();
    wire.flow.answer.sent(answered);
    wire
}

impl Wire {
    fn begin() -> Self {
        let syn = segment(Direction::ToServer, tcp_flag::SYN, Seq(CLIENT_ISN), 0);
        let mut wire = Self {
            flow: Flow::new(&syn, true, 1),
            ..Self::new()
        };
        wire.heard = Heard::default();
        wire.now = 0;
        wire.see(&syn, &[]);
        wire
    }

    fn completes(&mut self, now: u64) -> Vec<(u8, u64, Seq)> {
        self.now = now;
        self.send(Direction::ToServer, 0, &[]);
        let told = self.heard.told.iter().map(|(event, _)| event);
        let after_syn = told.skip(1);
        after_syn
            .map(|event| (event.kind, event.time, event.seq))
            .collect()
    }
}

#[test]
fn an_answer_that_is_not_seen_is_told_by_the_time_it_was_sent() {
    let mut wire = asked(500);
    let told = wire.completes(900);
    let answer = (Kind::SynAck as u8, 500, Seq(SERVER_ISN));
    assert_eq!(told[0], answer);
    assert_eq!(told[1].0, Kind::Ack as u8);
    assert_eq!(told.len(), 2);
    assert_eq!(wire.flow.server().sent.packets, 1);
}

#[test]
fn an_answer_that_is_seen_is_told_once() {
    let mut wire = asked(500);
    wire.now = 503;
    let seen = segment(
        Direction::ToClient,
        tcp_flag::SYN | tcp_flag::ACK,
        Seq(SERVER_ISN),
        0,
    );
    wire.see(&seen, &[]);
    let told = wire.completes(900);
    let answers = told.iter().filter(|told| told.0 == Kind::SynAck as u8);
    assert_eq!(answers.count(), 1, "{told:?}");
    assert_eq!(wire.flow.server().sent.packets, 1);
}

#[test]
fn an_answer_that_may_have_been_sent_again_has_no_time() {
    let told = asked(500).completes(500 + SECOND);
    assert!(told.iter().all(|told| told.0 != Kind::SynAck as u8));
    let mut again = asked(500);
    let syn = segment(Direction::ToServer, tcp_flag::SYN, Seq(CLIENT_ISN), 0);
    again.see(&syn, &[]);
    let told = again.completes(900);
    assert!(told.iter().all(|told| told.0 != Kind::SynAck as u8));
}
