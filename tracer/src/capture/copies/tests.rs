use tracer_ebpf::{
    flow::Point,
    packet::{Link, walk},
};

use super::*;

const MS: u64 = 1_000_000;

/// A packet of one direction as some host captured it.
#[derive(Clone, Copy)]
struct Sent {
    time: u64,
    id: u16,
    ttl: u8,
    seq: u32,
    len: usize,
    flags: u8,
    timestamp: Option<u32>,
    checksum: u16,
    six: bool,
}

const SENT: Sent = Sent {
    time: 1000 * MS,
    id: 100,
    ttl: 64,
    seq: u32::MAX - 2000,
    len: 100,
    flags: ACK,
    timestamp: None,
    checksum: 7,
    six: false,
};

impl Sent {
    fn bytes(&self) -> Vec<u8> {
        let options = if self.timestamp.is_some() { 12 } else { 0 };
        let tcp_len = (20 + options + self.len) as u16;
        let mut bytes = if self.six {
            let mut header = vec![0x60, 0, 0, 0, 0, 0, 6, self.ttl];
            header[4..6].copy_from_slice(&tcp_len.to_be_bytes());
            header.extend([1; 16]);
            header.extend([2; 16]);
            header
        } else {
            let mut header = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, self.ttl, 6, 0, self.ttl];
            header[2..4].copy_from_slice(&(20 + tcp_len).to_be_bytes());
            header[4..6].copy_from_slice(&self.id.to_be_bytes());
            header.extend([10, 0, 0, 1, 10, 0, 0, 2]);
            header
        };
        bytes.extend([0xC3, 0x50, 5, 0x99]);
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend([0, 0, 0, 9, 0x50 + 4 * options as u8, self.flags, 1, 0]);
        bytes.extend(self.checksum.to_be_bytes());
        bytes.extend([0, 0]);
        if let Some(value) = self.timestamp {
            bytes.extend([1, 1, 8, 10]);
            bytes.extend(value.to_be_bytes());
            bytes.extend([0, 0, 0, 3]);
        }
        bytes.extend(vec![0x5A; self.len]);
        bytes
    }
}

fn is_copy(copies: &mut Copies, sent: Sent) -> bool {
    let bytes = sent.bytes();
    let ethertype = if sent.six { 0x86DD } else { 0x0800 };
    let segment = walk(&bytes[..], Link::Network(ethertype)).unwrap();
    copies.is_copy(
        &segment,
        &Sighted {
            network: (ethertype, &bytes),
            wire_len: bytes.len() as u32,
            time_ns: sent.time,
            untimed: false,
            point: Point::new(1, false),
        },
    )
}

fn is_copy_of(first: Sent, second: Sent) -> bool {
    let mut copies = Copies::default();
    assert!(!is_copy(&mut copies, first));
    is_copy(&mut copies, second)
}

#[test]
fn a_packet_that_another_host_captured_is_a_copy_by_either_clock() {
    for six in [false, true] {
        let first = Sent { six, ..SENT };
        for time in [
            SENT.time,
            SENT.time + 100_000,
            SENT.time + 50 * MS,
            SENT.time - 50 * MS,
        ] {
            let second = Sent {
                time,
                ttl: 61,
                checksum: 0xBEEF,
                ..first
            };
            assert!(is_copy_of(first, second), "{time}");
        }
    }
}

#[test]
fn what_is_sent_again_is_no_copy() {
    let stamped = Sent {
        timestamp: Some(5),
        ..SENT
    };
    let soon = SENT.time + 2 * MS;
    for (first, second) in [
        // At once, for want of one segment.
        (
            SENT,
            Sent {
                time: soon,
                id: 101,
                ..SENT
            },
        ),
        // For want of any answer, from a host that does not count its packets.
        (
            Sent { id: 0, ..SENT },
            Sent {
                id: 0,
                time: SENT.time + 200 * MS,
                ..SENT
            },
        ),
        (
            Sent { six: true, ..SENT },
            Sent {
                six: true,
                time: SENT.time + 200 * MS,
                ..SENT
            },
        ),
        (
            Sent { id: 0, ..stamped },
            Sent {
                id: 0,
                time: soon,
                timestamp: Some(7),
                ..stamped
            },
        ),
        (
            Sent {
                six: true,
                ..stamped
            },
            Sent {
                six: true,
                time: soon,
                timestamp: Some(7),
                ..stamped
            },
        ),
        // More of the same.
        (
            SENT,
            Sent {
                seq: SENT.seq.wrapping_add(100),
                id: 101,
                ..SENT
            },
        ),
        (
            SENT,
            Sent {
                flags: ACK | FIN,
                ..SENT
            },
        ),
    ] {
        assert!(!is_copy_of(first, second));
    }
}

/// The pieces of three segments of 1,448 bytes and one of 200, in runs of so many.
fn pieces(runs: &[usize], ids: u16, time: u64, timestamp: Option<u32>) -> Vec<Sent> {
    let mut sent = Vec::new();
    let mut done = 0;
    for run in runs {
        let len = (1448 * run).min(4544 - 1448 * done);
        sent.push(Sent {
            seq: SENT.seq.wrapping_add(1448 * done as u32),
            id: if ids == 0 {
                0
            } else {
                ids.wrapping_add(done as u16)
            },
            len,
            time,
            timestamp,
            flags: if done + run >= 4 { ACK | FIN } else { ACK },
            ..SENT
        });
        done += run;
    }
    sent
}

const RUNS: [&[usize]; 5] = [&[4], &[1, 1, 1, 1], &[2, 2], &[1, 2, 1], &[3, 1]];

#[test]
fn what_a_card_cuts_or_joins_is_a_copy_piece_by_piece() {
    for (ids, timestamp) in [(100, None), (0, None), (u16::MAX - 1, Some(9))] {
        for one in RUNS {
            for other in RUNS {
                let mut copies = Copies::default();
                for sent in pieces(one, ids, SENT.time, timestamp) {
                    assert!(!is_copy(&mut copies, sent));
                }
                for sent in pieces(other, ids, SENT.time + 3 * MS, timestamp) {
                    assert!(is_copy(&mut copies, sent), "{one:?}, then {other:?}");
                }
            }
        }
    }
}

#[test]
fn a_piece_of_what_was_sent_whole_that_is_sent_again_is_no_copy() {
    for whole in RUNS {
        for index in 0..4 {
            let mut copies = Copies::default();
            for sent in pieces(whole, 100, SENT.time, None) {
                assert!(!is_copy(&mut copies, sent));
            }
            let piece = pieces(&[1, 1, 1, 1], 100, SENT.time + 2 * MS, None)[index];
            let again = Sent { id: 104, ..piece };
            assert!(!is_copy(&mut copies, again), "{whole:?}, piece {index}");
        }
    }
}

#[test]
fn a_segment_that_goes_on_behind_what_was_seen_is_no_copy() {
    let more = Sent { len: 300, ..SENT };
    assert!(!is_copy_of(SENT, more));
}

#[test]
fn answers_that_say_more_than_the_one_before_are_no_copies() {
    let answer = Sent {
        len: 0,
        six: true,
        timestamp: Some(5),
        ..SENT
    };
    assert!(is_copy_of(
        answer,
        Sent {
            time: SENT.time + MS,
            ..answer
        }
    ));
    assert!(!is_copy_of(
        answer,
        Sent {
            timestamp: Some(6),
            ..answer
        }
    ));
    assert!(!is_copy_of(
        Sent { len: 0, ..SENT },
        Sent {
            len: 0,
            id: 101,
            ..SENT
        }
    ));
}

#[test]
fn a_copy_is_found_however_many_packets_the_clocks_are_apart() {
    let mut copies = Copies::default();
    let sent = |number: u32, time: u64| Sent {
        seq: 100 * number,
        id: 1 + number as u16,
        time,
        ..SENT
    };
    for number in 0..60 {
        assert!(!is_copy(&mut copies, sent(number, SENT.time)));
    }
    for number in 0..2000 {
        assert!(
            is_copy(&mut copies, sent(number, SENT.time + 1)),
            "{number}"
        );
        assert!(
            !is_copy(&mut copies, sent(number + 60, SENT.time + 1)),
            "{number}"
        );
    }
}

#[test]
fn little_is_remembered_where_nothing_is_copied() {
    let mut copies = Copies::default();
    for number in 0..10_000 {
        let sent = Sent {
            seq: 100 * number,
            id: number as u16,
            ..SENT
        };
        is_copy(&mut copies, sent);
        assert!(copies.last.len() <= LOOKED);
    }
    assert!(copies.last.len() <= WITHOUT_COPIES);
}
