//! Requests that are counted: when their sums are told, and what becomes of them without a tally.

use super::*;

const SECOND: u64 = 1_000_000_000;
const REQUEST: usize = 28;
const REPLY: usize = 38;

/// A question and its answer, the `number`th of a connection whose login is decided.
fn exchange(wire: &mut Wire, number: usize) {
    wire.client(
        number * REQUEST,
        &tds(packet_type::RPC, 1, &[0; REQUEST - 8]),
    );
    wire.server(
        number * REPLY,
        &tds(packet_type::TABULAR_RESULT, 1, &[0; REPLY - 8]),
    );
}

#[test]
fn sums_are_told_when_counting_begins_every_ten_seconds_and_with_the_end() {
    let mut wire = Wire::decided();
    wire.heard.tally = Some(Tally::default());
    for number in 0..25 {
        exchange(&mut wire, number);
        wire.now += SECOND;
    }
    assert_eq!(wire.told(Kind::Header).len(), 2, "the first is told");
    let times: Vec<_> = wire
        .told(Kind::Tally)
        .iter()
        .map(|(told, _)| told.time / SECOND)
        .collect();
    assert_eq!(times, [1, 11, 21]);
    wire.end(Direction::ToServer, tcp_flag::FIN, 25 * REQUEST);
    assert_eq!(wire.told(Kind::Tally).len(), 4);
    assert_eq!(wire.heard.tally.unwrap().sums.rpc, 24);
}

#[test]
fn without_a_tally_each_is_told() {
    let mut wire = Wire::decided();
    (0..5).for_each(|number| exchange(&mut wire, number));
    assert_eq!(wire.told(Kind::Header).len(), 10);
    assert!(wire.told(Kind::Tally).is_empty() && wire.heard.lost.is_empty());
}

#[test]
fn sums_that_are_gone_at_the_end_are_counted_as_lost() {
    let mut wire = Wire::decided();
    wire.heard.tally = Some(Tally::default());
    (0..3).for_each(|number| exchange(&mut wire, number));
    wire.heard.tally = None;
    wire.end(Direction::ToServer, tcp_flag::FIN, 3 * REQUEST);
    assert_eq!(wire.heard.lost, [LossReason::Gone]);
}
