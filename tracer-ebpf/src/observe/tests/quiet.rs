//! What is counted before a packet is walked is what would be counted after that.

use super::*;
use crate::packet::Plain;

/// Numbers in no order, the same in every run.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len() as u64) as usize]
    }
}

/// A segment of either side: mostly what comes next, now and then anything else.
fn any(noise: &mut Noise, wire: &mut Wire) -> (Segment, Vec<u8>) {
    let direction = noise.of(&[Direction::ToServer, Direction::ToClient]);
    let (next, header, due) = {
        let half = wire.flow.half(direction);
        let due = half.framed != 0 && half.next_header == half.next_seq;
        (half.next_seq, half.next_header, due)
    };
    let peer = wire.flow.half(direction.reversed()).next_seq;
    let len = noise.of(&[0, 0, 1, 2, 40, 100]);
    let mut bytes = vec![0x41; len];
    if len > 8 && due {
        let kind = if direction == Direction::ToServer {
            1
        } else {
            4
        };
        let whole = noise.of(&[100_u16, 400, 2000]);
        let [high, low] = whole.to_be_bytes();
        bytes[..8].copy_from_slice(&[kind, noise.of(&[0, 1, 1]), high, low, 0, 0, 1, 0]);
    }
    let before_header = header.since(next).clamp(0, 200).cast_unsigned() as usize;
    if noise.below(3) > 0 && before_header > 0 {
        bytes.truncate(before_header - 1);
    }
    let seq = next.add(match noise.below(40) {
        0 => noise.of(&[5, u32::MAX, u32::MAX - 20]),
        _ => 0,
    });
    let flags = match noise.below(60) {
        0 => noise.of(&[tcp_flag::FIN, tcp_flag::SYN, tcp_flag::RST]),
        _ => 0,
    };
    let mut segment = segment(direction, flags | tcp_flag::ACK, seq, bytes.len());
    segment.ack = peer.back(noise.of(&[0, 0, 0, 30]));
    segment.window = u16::from(noise.below(30) > 0) * 512;
    (segment, bytes)
}

#[test]
fn a_quiet_segment_is_counted_the_same_before_it_is_walked() {
    let mut noise = Noise(0x9E37_79B9);
    let (mut quiet, mut all) = (0, 0);
    for _ in 0..400 {
        let mut wire = Wire::decided();
        for _ in 0..60 {
            let (segment, bytes) = any(&mut noise, &mut wire);
            if noise.below(50) == 0 {
                wire.point = Point::new(2, true);
            }
            let plain = Plain {
                seq: segment.seq,
                ack: segment.ack,
                flags: segment.flags,
                window: segment.window,
                payload_len: segment.payload_len,
            };
            let before = format!("{:?}", wire.flow);
            let mut flow = wire.flow;
            let now = wire.now + 1;
            let is = is_quiet(&mut flow, segment.from_a, &plain, wire.point, || now);
            let told = wire.heard.told.len() + wire.heard.lost.len();
            wire.see(&segment, &bytes);
            all += 1;
            if is {
                quiet += 1;
                assert_eq!(
                    format!("{flow:?}"),
                    format!("{:?}", wire.flow),
                    "{segment:?}"
                );
                assert_eq!(told, wire.heard.told.len() + wire.heard.lost.len());
            } else {
                assert_eq!(format!("{flow:?}"), before, "{segment:?}");
            }
        }
    }
    assert!(quiet > all / 20 && quiet < all, "{quiet} of {all}");
}

#[test]
fn nothing_is_quiet_before_the_login_is_decided() {
    let mut wire = Wire::new();
    let plain = Plain {
        seq: Seq(CLIENT_ISN).add(1),
        ack: Seq(SERVER_ISN).add(1),
        flags: tcp_flag::ACK,
        window: 512,
        payload_len: 0,
    };
    let point = wire.point;
    assert!(!is_quiet(&mut wire.flow, false, &plain, point, || 9));
    wire.flow.decided = decided::YES;
    assert!(is_quiet(&mut wire.flow, false, &plain, point, || 9));
}
