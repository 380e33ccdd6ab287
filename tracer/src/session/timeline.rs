//! Phases, and who was waited for in them.

use tracer_ebpf::event::{Counters, Direction};

use crate::record::{Nanos, Phase, PhaseName, Waited};

/// Moves remembered of one login; later ones of the same side are merged into the last.
const MAX_MOVES: usize = 1024;

/// One side of a connection.
pub(super) type Side = Direction;

/// Round trips between the point of observation and either side, nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Legs {
    /// To the client and back; 0 where it is local.
    pub(super) client: u64,
    /// To the server and back; 0 where it is local.
    pub(super) server: u64,
}

/// The packets that moved a login forward.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    moves: Vec<(u64, Side)>,
}

impl Timeline {
    /// A packet of `side` that moved the conversation forward.
    pub(super) fn moved(&mut self, at: u64, side: Side) {
        let count = self.moves.len();
        match self.moves.last_mut() {
            Some(last) if count >= MAX_MOVES && last.1 == side => last.0 = at.max(last.0),
            // Packets of two processors may come a little out of order.
            Some(last) if count < 2 * MAX_MOVES => {
                let at = at.max(last.0);
                self.moves.push((at, side));
            }
            Some(_) => {}
            None => self.moves.push((at, side)),
        }
    }

    /// When the last of them passed.
    pub(super) fn last(&self) -> u64 {
        self.moves.last().map_or(0, |last| last.0)
    }

    /// Who was waited for from `from` to `to`: an interval belongs to the side that ended it, and
    /// of each turn of a side up to one round trip to it belongs to the network.
    pub(super) fn waited(&self, from: u64, to: u64, legs: Legs) -> Waited {
        let mut waited = Waited::default();
        let mut at = from;
        let mut turn: Option<(Side, u64)> = None;
        let inside = self
            .moves
            .iter()
            .filter(|(time, _)| *time > from && *time <= to);
        for &(time, side) in inside {
            let span = time - at;
            at = time;
            turn = match turn {
                Some((speaker, total)) if speaker == side => Some((side, total + span)),
                Some((speaker, total)) => {
                    settle(&mut waited, speaker, total, legs);
                    Some((side, span))
                }
                None => Some((side, span)),
            };
        }
        // What no packet ended belongs to whoever would have had to send next: the other side of
        // the last move, or the same turn where nothing was sent at all.
        if at < to {
            let owing = self.owing_at(at);
            turn = match turn {
                Some((speaker, total)) if speaker == owing => Some((owing, total + (to - at))),
                Some((speaker, total)) => {
                    settle(&mut waited, speaker, total, legs);
                    Some((owing, to - at))
                }
                None => Some((owing, to - at)),
            };
        }
        if let Some((speaker, total)) = turn {
            settle(&mut waited, speaker, total, legs);
        }
        waited
    }

    /// Who has to send next after what was sent up to `at`.
    fn owing_at(&self, at: u64) -> Side {
        match self.moves.iter().rev().find(|(time, _)| *time <= at) {
            Some((_, Side::ToServer)) => Side::ToClient,
            _ => Side::ToServer,
        }
    }
}

fn settle(waited: &mut Waited, side: Side, total: u64, legs: Legs) {
    let leg = match side {
        Side::ToServer => legs.client,
        Side::ToClient => legs.server,
    };
    let network = total.min(leg);
    waited.network_ns += network;
    match side {
        Side::ToServer => waited.client_ns += total - network,
        Side::ToClient => waited.server_ns += total - network,
    }
}

/// A phase that has ended, before it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) name: PhaseName,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) complete: bool,
    pub(super) retransmits: u32,
    /// Whether its start was seen; a connection joined late does not know.
    known: bool,
}

/// The phases of a login, each starting where the one before it ended.
#[derive(Debug)]
pub(super) struct Phases {
    /// Whether the connection's first packet was seen.
    from_start: bool,
    ended: Vec<Ended>,
    /// Where the next one starts.
    from: u64,
    /// Whether that moment was seen.
    known: bool,
    retransmits: u32,
}

impl Phases {
    /// No phase yet; the first starts at `from`, which was seen unless the connection was joined
    /// late.
    pub(super) fn new(from: u64, known: bool) -> Self {
        Self {
            from_start: known,
            ended: Vec::with_capacity(5),
            from,
            known,
            retransmits: 0,
        }
    }

    /// Ends the phase at hand. A phase ends once.
    pub(super) fn end(&mut self, name: PhaseName, at: u64, complete: bool, sent: &[Counters; 2]) {
        if self.has(name) {
            return;
        }
        let retransmits = sent[0].retransmits.saturating_add(sent[1].retransmits);
        let to = at.max(self.from);
        self.ended.push(Ended {
            name,
            from: self.from,
            to,
            complete,
            retransmits: retransmits.saturating_sub(self.retransmits),
            known: self.known,
        });
        self.from = to;
        self.known = true;
        self.retransmits = retransmits;
    }

    /// The connection's first packet was not seen, though others of its first phase were.
    pub(super) fn start_was_missed(&mut self) {
        self.from_start = false;
        match self.ended.first_mut() {
            Some(first) => first.known = false,
            None => self.known = false,
        }
    }

    /// Where the last phase ended.
    pub(super) fn reached(&self) -> u64 {
        self.from
    }

    /// Whether the connection's first packet was seen.
    pub(super) fn start_was_seen(&self) -> bool {
        self.from_start
    }

    /// Whether the phase of this name has ended.
    pub(super) fn has(&self, name: PhaseName) -> bool {
        self.ended.iter().any(|ended| ended.name == name)
    }

    /// Whether a phase has ended at this moment: then nothing is left to end there.
    pub(super) fn ended_at(&self, at: u64) -> bool {
        self.ended
            .last()
            .is_some_and(|ended| ended.to == at && ended.complete)
    }

    /// The phases whose both ends were seen.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Ended> {
        self.ended.iter().filter(|ended| ended.known)
    }
}

impl Ended {
    /// As it is written: `start` is the connection's first packet.
    pub(super) fn write(&self, start: u64, timeline: &Timeline, legs: Legs, whole: bool) -> Phase {
        Phase {
            start_ns: Nanos(self.from.saturating_sub(start)),
            duration_ns: Nanos(self.to - self.from),
            complete: self.complete,
            waited: whole.then(|| timeline.waited(self.from, self.to, legs)),
            retransmits: self.retransmits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(moves: &[(u64, Side)]) -> Timeline {
        let mut timeline = Timeline::default();
        for &(at, side) in moves {
            timeline.moved(at, side);
        }
        timeline
    }

    #[test]
    fn an_interval_belongs_to_the_side_that_ended_it() {
        use Direction::{ToClient, ToServer};
        let moves = [
            (100, ToServer),
            (400, ToClient),
            (450, ToServer),
            (1450, ToClient),
        ];
        let waited = timeline(&moves).waited(100, 1450, Legs::default());
        assert_eq!(
            (waited.client_ns.0, waited.server_ns.0, waited.network_ns.0),
            (50, 1300, 0)
        );
    }

    #[test]
    fn one_round_trip_of_each_turn_of_the_remote_side_is_the_networks() {
        use Direction::{ToClient, ToServer};
        let moves = [
            (0, ToServer),
            (300, ToClient),
            (350, ToClient),
            (400, ToServer),
            (420, ToClient),
        ];
        let legs = Legs {
            client: 0,
            server: 100,
        };
        let waited = timeline(&moves).waited(0, 420, legs);
        assert_eq!(
            (waited.client_ns.0, waited.server_ns.0, waited.network_ns.0),
            (50, 250, 120)
        );
    }

    #[test]
    fn the_wait_that_nobody_ended_is_charged_to_the_side_that_owed() {
        let waited = timeline(&[(10, Side::ToServer)]).waited(0, 5_000, Legs::default());
        assert_eq!((waited.client_ns.0, waited.server_ns.0), (10, 4_990));
    }
}
