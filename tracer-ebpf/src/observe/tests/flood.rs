//! SYNs of a flood are held back, and told once their client goes on.

use super::*;
use crate::observe::{hold, is_of_flood, tell};

/// A connection with this many SYNs too many: what of it may not be told is held back.
struct Flooded(Wire, usize);

impl Flooded {
    fn new() -> Self {
        let syn = segment(Direction::ToServer, tcp_flag::SYN, Seq(CLIENT_ISN), 0);
        Self(
            Wire {
                flow: Flow::new(&syn, true, 1),
                config: Config::default(),
                now: 0,
                point: Point::new(1, true),
                decided: decided::NO,
                heard: Heard::default(),
                fate: Fate::Keep,
            },
            0,
        )
    }

    /// A packet, in a flood or not.
    fn see(&mut self, flood: bool, direction: Direction, flags: u8, seq: u32) {
        let segment = segment(direction, flags, Seq(seq), 0);
        let Self(wire, held) = self;
        wire.now += 1;
        let seen = Sighting {
            now: wire.now,
            point: wire.point,
        };
        let mut step = Step::of(direction);
        account(
            &mut wire.flow,
            &segment,
            seen,
            &wire.config,
            || decided::NO,
            &mut step,
        );
        *held -= usize::from(step.is(found::RELEASED));
        if flood && is_of_flood(&wire.flow, &segment) {
            *held += usize::from(hold(&mut wire.flow, &segment, seen, &mut step));
        }
        if step.is_quiet() {
            return;
        }
        wire.fate = tell(&mut Scene {
            flow: &mut wire.flow,
            segment: &segment,
            packet: &[][..],
            seen,
            step: &mut step,
            runs: &mut Runs::default(),
            config: &wire.config,
            sink: &mut wire.heard,
        });
    }

    /// What was told: its kind, when it passed, and its number.
    fn told(&self) -> Vec<(u8, u64, u32)> {
        let told = self.0.heard.told.iter();
        told.map(|(event, _)| (event.kind, event.time, event.number))
            .collect()
    }
}

const SYN_ACK: u8 = tcp_flag::SYN | tcp_flag::ACK;

#[test]
fn a_handshake_in_a_flood_is_told_with_its_own_times_once_it_is_whole() {
    let mut flooded = Flooded::new();
    flooded.see(true, Direction::ToServer, tcp_flag::SYN, CLIENT_ISN);
    flooded.see(true, Direction::ToClient, SYN_ACK, SERVER_ISN);
    assert_eq!((flooded.told(), flooded.1), (Vec::new(), 1));
    flooded.see(true, Direction::ToServer, tcp_flag::ACK, CLIENT_ISN + 1);
    let kinds = [Kind::Syn, Kind::SynAck, Kind::Ack].map(|kind| kind as u8);
    let expected = [(kinds[0], 1, 1), (kinds[1], 2, 1), (kinds[2], 3, 2)];
    assert_eq!((flooded.told(), flooded.1), (expected.to_vec(), 0));
}

#[test]
fn a_refusal_of_a_syn_that_was_told_is_told() {
    let mut flooded = Flooded::new();
    flooded.see(false, Direction::ToServer, tcp_flag::SYN, CLIENT_ISN);
    flooded.see(true, Direction::ToClient, tcp_flag::RST | tcp_flag::ACK, 0);
    let kinds: Vec<_> = flooded.told().iter().map(|told| told.0).collect();
    assert_eq!(
        (kinds, flooded.1),
        (vec![Kind::Syn as u8, Kind::Rst as u8], 0)
    );
}

#[test]
fn of_a_syn_that_is_held_back_and_refused_nothing_is_told() {
    let mut flooded = Flooded::new();
    flooded.see(true, Direction::ToServer, tcp_flag::SYN, CLIENT_ISN);
    flooded.see(true, Direction::ToServer, tcp_flag::SYN, CLIENT_ISN);
    flooded.see(true, Direction::ToClient, tcp_flag::RST | tcp_flag::ACK, 0);
    assert_eq!((flooded.told(), flooded.1), (Vec::new(), 1));
}
