//! Who was waited for in each phase, from packet to packet.

use super::{Debtor, Truth};
use crate::sweep::packet::{Packet, Side};

/// What one phase's time was made of, the network's share still with the side that was waited for.
#[derive(Clone, Debug)]
pub struct Waits {
    /// The phase.
    pub phase: &'static str,
    /// Nanoseconds in which each side owed.
    pub owed_ns: [u64; 2],
    /// How many times a side's turn followed a word of the other's: there a round trip may lie.
    pub turns: [u64; 2],
    /// Whether somebody could tell all of it by what had passed.
    pub is_known: bool,
}

/// The phases of a connection whose login was decided.
pub(super) fn waits(packets: &[Packet], truth: &Truth) -> Vec<Waits> {
    // An alert decides, and so may the FIN behind it.
    let Some((decided, _)) = truth
        .decided
        .filter(|(_, outcome)| *outcome != "tls_failed")
    else {
        return Vec::new();
    };
    let mut all: Vec<Waits> = Vec::new();
    let mut last = None;
    for index in 1..=decided {
        let state = &truth.states[index - 1];
        let phase = truth.lasting(index, state.phase);
        if all.last().is_none_or(|waits| waits.phase != phase) {
            all.push(Waits {
                phase,
                owed_ns: [0; 2],
                turns: [0; 2],
                is_known: true,
            });
        }
        let Some(waits) = all.last_mut() else {
            continue;
        };
        let span = packets[index]
            .time_ns
            .saturating_sub(packets[index - 1].time_ns);
        waits.is_known &= state.sound;
        match state.owed {
            Debtor::Owes(side) => {
                waits.owed_ns[side as usize] += span;
                if last != Some((side, phase)) {
                    waits.turns[side as usize] += 1;
                }
                last = Some((side, phase));
            }
            Debtor::Unsure => waits.is_known &= span == 0,
        }
    }
    all
}

impl Waits {
    /// What this side owed.
    pub fn of(&self, side: Side) -> u64 {
        self.owed_ns[side as usize]
    }
}
