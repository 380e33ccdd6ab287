//! Who was waited for.

use crate::{
    record::{Nanos, Waited},
    session::{input::Side, ledger::Ledger},
};

/// Round trips between the point of observation and either side, nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::session) struct Legs {
    /// To the client and back; 0 where it is local.
    pub(in crate::session) client: u64,
    /// To the server and back; 0 where it is local.
    pub(in crate::session) server: u64,
}

/// Who was waited for from `from` to `to`.
///
/// The time between two steps belongs to the side whose step ended it; after the last step it
/// belongs to the side that owes. Where the step before was the other side's, up to one round trip
/// of it is the network's. So is the time between the copies of a packet that was sent again.
pub(in crate::session) fn waited(ledger: &Ledger, from: u64, to: u64, legs: Legs) -> Waited {
    let mut waited = Waited::default();
    let steps = ledger.steps();
    let mut at = from;
    let first = steps.partition_point(|step| step.at <= from);
    let mut before = first.checked_sub(1).map(|place| steps[place]);
    for step in &steps[first..] {
        if step.at > to {
            break;
        }
        let asked = before.filter(|before| before.side != step.side);
        let span = Span {
            from: at,
            to: step.at,
            asked_at: asked.map(|asked| asked.at),
        };
        span.settle(step.side, ledger, legs, &mut waited);
        at = step.at;
        before = Some(*step);
    }
    if at < to {
        let owing = before.map_or(Side::ToServer, |before| before.owed_by);
        let span = Span {
            from: at,
            to,
            asked_at: before.filter(|step| step.side != owing).map(|step| step.at),
        };
        span.settle(owing, ledger, legs, &mut waited);
    }
    waited
}

/// A time in which one side was waited for.
struct Span {
    from: u64,
    to: u64,
    /// When the other side's question opened the wait; `None` where the same side had spoken before.
    asked_at: Option<u64>,
}

impl Span {
    fn settle(&self, side: Side, ledger: &Ledger, legs: Legs, waited: &mut Waited) {
        let repeated = ledger.repeated(self.from, self.to);
        let rest = self.to - self.from - repeated;
        let leg = match side {
            Side::ToServer => legs.client,
            Side::ToClient => legs.server,
        };
        let left_of_leg = self.asked_at.map_or(0, |asked| {
            leg.saturating_sub(self.from.saturating_sub(asked))
        });
        let travelled = rest.min(left_of_leg);
        waited.network_ns += repeated + travelled;
        let share: &mut Nanos = match side {
            Side::ToServer => &mut waited.client_ns,
            Side::ToClient => &mut waited.server_ns,
        };
        *share += rest - travelled;
    }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::event::Direction::{ToClient, ToServer};

    use super::*;

    fn ledger(steps: &[(u64, Side)]) -> Ledger {
        let mut ledger = Ledger::default();
        for &(at, side) in steps {
            ledger.step(at, side, side.reversed());
        }
        ledger
    }

    fn shares(waited: Waited) -> (u64, u64, u64) {
        (waited.client_ns.0, waited.server_ns.0, waited.network_ns.0)
    }

    const SERVER_AWAY: Legs = Legs {
        client: 0,
        server: 100,
    };

    #[test]
    fn an_interval_belongs_to_the_side_that_ended_it() {
        let steps = [
            (100, ToServer),
            (400, ToClient),
            (450, ToServer),
            (1450, ToClient),
        ];
        let waited = waited(&ledger(&steps), 100, 1450, Legs::default());
        assert_eq!(shares(waited), (50, 1300, 0));
    }

    #[test]
    fn one_round_trip_lies_between_a_question_and_the_first_packet_of_its_answer() {
        let steps = [
            (0, ToServer),
            (300, ToClient),
            (350, ToClient),
            (400, ToServer),
            (420, ToClient),
        ];
        let waited = waited(&ledger(&steps), 0, 420, SERVER_AWAY);
        assert_eq!(shares(waited), (50, 250, 120));
    }

    #[test]
    fn between_two_packets_of_one_side_lies_no_round_trip() {
        let client_away = Legs {
            client: 100,
            server: 0,
        };
        let mut ledger = ledger(&[(0, ToClient), (130, ToServer)]);
        ledger.step(155, ToServer, ToClient);
        let waited = waited(&ledger, 130, 155, client_away);
        assert_eq!(shares(waited), (25, 0, 0));
    }

    #[test]
    fn the_wait_that_nobody_ended_is_that_of_the_side_that_owed() {
        let waited = waited(&ledger(&[(10, ToServer)]), 0, 5_000, SERVER_AWAY);
        assert_eq!(shares(waited), (10, 4_890, 100));
    }

    #[test]
    fn the_time_between_two_copies_of_a_packet_is_the_networks_and_then_one_round_trip() {
        let mut ledger = ledger(&[(0, ToServer)]);
        ledger.repeat(ToServer, 0, 1_000);
        ledger.repeat(ToServer, 0, 3_000);
        ledger.step(3_250, ToClient, ToServer);
        let waited = waited(&ledger, 0, 3_250, SERVER_AWAY);
        assert_eq!(shares(waited), (0, 150, 3_100));
    }

    #[test]
    fn a_side_that_has_to_say_more_is_waited_for_after_its_own_word() {
        let mut ledger = ledger(&[(0, ToServer), (100, ToClient)]);
        ledger.step(100, ToServer, ToServer);
        let waited = waited(&ledger, 100, 20_000, SERVER_AWAY);
        assert_eq!(shares(waited), (19_900, 0, 0));
    }
}
