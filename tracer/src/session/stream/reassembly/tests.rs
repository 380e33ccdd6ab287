use super::*;

const START: Seq = Seq(u32::MAX - 1);
const SECOND: u64 = 1_000_000_000;

fn opened() -> Reassembly {
    let mut reassembly = Reassembly::default();
    reassembly.open(START);
    reassembly
}

/// A segment that comes at `time`, so far behind the start, and is told whole.
fn comes(reassembly: &mut Reassembly, time: u64, at: u32, bytes: &[u8]) {
    told(reassembly, time, at, bytes.len() as u32, bytes);
}

/// The same of which only the first bytes are told.
fn told(reassembly: &mut Reassembly, time: u64, at: u32, len: u32, run: &[u8]) {
    let from = START.add(at);
    let event = Event {
        time,
        seq: from,
        payload_len: len,
        run_seq: from,
        run_len: len,
        ..Event::default()
    };
    let to = from.add(len);
    reassembly.take(&event, Span { from, to }, run);
}

#[test]
fn segments_that_change_places_are_in_order_and_the_hole_is_none() {
    let mut reassembly = opened();
    comes(&mut reassembly, 1, 3, b"def");
    assert_eq!(reassembly.bytes(), b"");
    assert!(reassembly.is_incomplete());
    comes(&mut reassembly, 2, 0, b"abc");
    assert_eq!(reassembly.bytes(), b"abcdef");
    assert!(!reassembly.has_gap());
    assert!(!reassembly.is_incomplete());
}

#[test]
fn bytes_that_come_again_count_once() {
    let mut reassembly = opened();
    comes(&mut reassembly, 1, 0, b"abc");
    comes(&mut reassembly, 2, 0, b"abc");
    comes(&mut reassembly, 3, 1, b"bcde");
    assert_eq!(reassembly.bytes(), b"abcde");
    assert_eq!(reassembly.arrived(START.add(3)), 1);
    assert_eq!(reassembly.arrived(START.add(4)), 3);
}

#[test]
fn a_hole_is_given_up_a_second_after_what_follows_it_once_its_receiver_has_more() {
    let mut reassembly = opened();
    comes(&mut reassembly, 1, 0, b"ab");
    comes(&mut reassembly, 5, 4, b"ef");
    // The receiver waits for it too.
    reassembly.is_acknowledged(START.add(2));
    reassembly.age(10 * SECOND);
    assert_eq!(reassembly.hole_is_given_up_at(), None);
    assert_eq!(reassembly.bytes(), b"ab");

    reassembly.is_acknowledged(START.add(6));
    assert_eq!(reassembly.hole_is_given_up_at(), Some(5 + SECOND));
    reassembly.age(4 + SECOND);
    assert_eq!(reassembly.bytes(), b"ab");
    reassembly.age(5 + SECOND);
    assert_eq!(reassembly.bytes(), b"ab\0\0ef");
    assert!(reassembly.has_gap());
    assert_eq!(
        reassembly.unseen_in(START, START.add(6)),
        std::slice::from_ref(&(2..4))
    );
}

#[test]
fn what_was_read_may_come_later_and_is_passed_over() {
    let mut reassembly = opened();
    comes(&mut reassembly, 1, 0, b"abc");
    reassembly.pass_over(5);
    assert!(reassembly.is_skipping());
    assert_eq!(reassembly.bytes(), b"");
    comes(&mut reassembly, 2, 3, b"defg");
    reassembly.pass_over_what_came();
    assert!(!reassembly.is_skipping());
    assert_eq!(reassembly.bytes(), b"fg");
    assert_eq!(reassembly.base(), Some(START.add(5)));
}

#[test]
fn bytes_that_were_not_told_are_zeros_and_unseen() {
    let mut reassembly = opened();
    let from = START;
    let whole = Span {
        from,
        to: from.add(6),
    };
    let event = Event {
        seq: from,
        payload_len: 6,
        run_seq: from.add(4),
        run_len: 2,
        ..Event::default()
    };
    reassembly.take(&event, whole, b"ef");
    assert_eq!(reassembly.bytes(), b"\0\0\0\0ef");
    assert_eq!(
        reassembly.unseen_in(from, from.add(6)),
        std::slice::from_ref(&(0..4))
    );
    assert!(!reassembly.has_gap(), "they were withheld, not lost");
}

#[test]
fn a_record_shorter_than_it_says_is_a_gap() {
    let mut reassembly = opened();
    told(&mut reassembly, 1, 0, 4, b"ab");
    assert_eq!(reassembly.bytes(), b"ab\0\0");
    assert!(reassembly.has_gap());
    assert!(reassembly.is_incomplete());
}

#[test]
fn segments_too_many_for_the_memory_behind_a_hole_give_it_up() {
    let mut reassembly = opened();
    for place in 0..=MAX_AHEAD as u32 {
        assert_eq!(reassembly.bytes(), b"");
        comes(&mut reassembly, 1, 2 + 2 * place, b"x");
    }
    assert_eq!(reassembly.bytes(), b"\0\0x");
    assert!(reassembly.has_gap());
}
