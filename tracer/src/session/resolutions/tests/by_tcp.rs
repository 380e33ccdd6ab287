//! What is asked by TCP, and of everybody on the network.

use proptest::{collection::vec, prelude::*};
use tracer_ebpf::seq::Seq;

use super::*;
use crate::session::input::{Piece, Sign, Transport};

const NAME: &str = "sql.example";

fn found(id: u16, count: u8) -> Vec<u8> {
    let mut packet = question(id, NAME, TYPE::A);
    packet.set_flags(PacketFlag::RESPONSE);
    for last in 0..count {
        let data = RData::A(A::from(std::net::Ipv4Addr::new(10, 0, 0, last)));
        let name = Name::new_unchecked(NAME);
        packet
            .answers
            .push(ResourceRecord::new(name, CLASS::IN, 60, data));
    }
    packet.build_bytes_vec_compressed().unwrap()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

impl Watched {
    /// A packet of the connection from port 6000 passes.
    fn passes(&mut self, sign: Sign<'_>, at: u64) {
        let who = Who::Process(self.pid);
        let beside = Beside {
            time: START + at,
            client: (address("10.0.0.1"), 6000),
            service: (address("10.0.0.53"), dns::PORT),
            transport: Transport::Tcp,
            sign,
            opened: None,
            accepted: None,
            process: None,
        };
        self.resolutions.passes(who, &beside);
    }
}

/// These bytes, of which so many are at hand, as one segment.
fn piece(seq: u32, kept: &[u8], len: usize) -> Piece<'_> {
    Piece {
        seq: Seq(seq),
        kept,
        len,
    }
}

/// Whether what was asked by TCP was.
fn tcp(watched: &mut Watched) -> Vec<(u32, bool)> {
    let who = Who::Process(watched.pid);
    let resolved = watched
        .resolutions
        .followed(who, address("10.0.0.2"), START + SECOND);
    let asked = resolved.parts.iter().map(|part| part.asked.unwrap());
    asked.map(|asked| (asked.requests, asked.tcp)).collect()
}

#[test]
fn what_does_not_fit_into_a_datagram_is_one_question() {
    let mut watched = Watched::of_process(1);
    watched.asks(5000, 1, NAME, TYPE::A, 0);
    let mut cut = question(1, NAME, TYPE::A);
    cut.set_flags(PacketFlag::TRUNCATION);
    watched.says((5000, 1), &mut cut, true, MILLISECOND);
    watched.passes(Sign::Opens, 2 * MILLISECOND);
    let asked = framed(&question(7, NAME, TYPE::A).build_bytes_vec().unwrap());
    watched.passes(Sign::Asks(piece(9, &asked, asked.len())), 3 * MILLISECOND);
    let answer = framed(&found(7, 3));
    watched.passes(
        Sign::Answers(piece(5, &answer, answer.len())),
        4 * MILLISECOND,
    );
    assert_eq!(tcp(&mut watched), [(1, true)]);
}

#[test]
fn of_two_that_are_asked_together_both_go_on_where_one_does_not_fit() {
    let mut watched = Watched::of_process(1);
    watched.asks(5000, 1, NAME, TYPE::A, 0);
    watched.asks(5000, 2, NAME, TYPE::AAAA, 0);
    let mut cut = question(1, NAME, TYPE::A);
    cut.set_flags(PacketFlag::TRUNCATION);
    watched.says((5000, 1), &mut cut, true, MILLISECOND);
    watched.passes(Sign::Opens, 2 * MILLISECOND);
    let both = [(1, TYPE::A), (2, TYPE::AAAA)]
        .map(|(id, kind)| framed(&question(id, NAME, kind).build_bytes_vec().unwrap()))
        .concat();
    watched.passes(Sign::Asks(piece(9, &both, both.len())), 3 * MILLISECOND);
    // Whoever has asked does not wait for this one any more.
    let mut late = question(2, NAME, TYPE::AAAA);
    late.set_flags(PacketFlag::TRUNCATION);
    watched.says((5000, 2), &mut late, true, 4 * MILLISECOND);
    let answer = framed(&found(1, 3));
    watched.passes(
        Sign::Answers(piece(5, &answer, answer.len())),
        5 * MILLISECOND,
    );
    assert_eq!(tcp(&mut watched), [(1, true), (1, true)]);
}

#[test]
fn of_an_answer_of_which_the_first_bytes_are_at_hand_the_first_addresses_are_known() {
    let mut watched = Watched::of_process(1);
    watched.passes(Sign::Opens, 0);
    let asked = framed(&question(7, NAME, TYPE::A).build_bytes_vec().unwrap());
    watched.passes(Sign::Asks(piece(9, &asked, asked.len())), MILLISECOND);
    let answer = framed(&found(7, 60));
    let kept = &answer[..200];
    watched.passes(Sign::Answers(piece(5, kept, answer.len())), 2 * MILLISECOND);
    assert_eq!(tcp(&mut watched), [(1, true)]);
}

#[test]
fn an_answer_that_everybody_hears_answers_who_has_asked() {
    let mut watched = Watched::of_process(1);
    watched.asks(dns::MULTICAST_PORT, 0, "sql.local", TYPE::A, 0);
    let mut heard = question(0, "sql.local", TYPE::A);
    heard.set_flags(PacketFlag::RESPONSE);
    let data = RData::A(A::from(std::net::Ipv4Addr::new(10, 0, 0, 2)));
    let name = Name::new_unchecked("sql.local");
    heard
        .answers
        .push(ResourceRecord::new(name, CLASS::IN, 60, data));
    let bytes = heard.build_bytes_vec().unwrap();
    watched.resolutions.take(&Datagram {
        time: START + MILLISECOND,
        asker: (address("224.0.0.251"), dns::MULTICAST_PORT),
        browser: address("10.0.0.2"),
        said: Said::Answer {
            kept: &bytes,
            len: bytes.len(),
        },
        process: None,
    });
    let told = watched.connects("10.0.0.2", 2 * MILLISECOND);
    assert_eq!(told, [("sql.local".to_owned(), V4, Answered, 1)]);
}

proptest! {
    #[test]
    fn however_two_messages_are_cut_both_are_read(cuts in vec(1..40_usize, 0..12)) {
        let mut watched = Watched::of_process(1);
        watched.passes(Sign::Opens, 0);
        let twin = question(8, NAME, TYPE::AAAA).build_bytes_vec().unwrap();
        let one = question(7, NAME, TYPE::A).build_bytes_vec().unwrap();
        let mut asked = [framed(&one), framed(&twin)].concat();
        let mut seq = 9;
        for cut in cuts.into_iter().chain([usize::MAX]) {
            let rest = asked.split_off(cut.min(asked.len()));
            let sent = piece(seq, &asked, asked.len());
            // Each is seen twice.
            for _ in 0..2 {
                watched.passes(Sign::Asks(sent), MILLISECOND);
            }
            seq += asked.len() as u32;
            asked = rest;
        }
        let answer = framed(&found(7, 3));
        watched.passes(Sign::Answers(piece(5, &answer, answer.len())), 2 * MILLISECOND);
        prop_assert_eq!(tcp(&mut watched), [(1, true), (1, true)]);
    }
}
