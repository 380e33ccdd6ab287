//! How a connection's packets end: FINs, resets, and what was strained before.

use tracer_ebpf::{event::Counters, seq::Seq};

use crate::session::input::Side;

/// A FIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Fin {
    pub(in crate::session) at: u64,
    pub(in crate::session) side: Side,
}

/// A RST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Reset {
    pub(in crate::session) at: u64,
    pub(in crate::session) side: Side,
    /// Its time to live, or hop limit.
    pub(in crate::session) ttl: u8,
}

/// How a connection's packets ended.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::session) struct Ends {
    fin: Option<Fin>,
    /// The other side's FIN.
    second_fin: Option<u64>,
    /// Both FINs were acknowledged.
    acknowledged: bool,
    reset: Option<Reset>,
    /// Where in its side's stream each FIN lies.
    positions: [Option<Seq>; 2],
    /// The last packet seen since the first of them.
    last: Option<u64>,
    /// Keep-alive probes without an answer before the first of them.
    probes: Option<u32>,
    /// Payload, or the other side's FIN, passed unseen before it.
    pub(in crate::session) missed_before: bool,
    /// Something had gone unanswered, or a window was closed, right before.
    strained: bool,
}

impl Ends {
    /// A packet passes.
    pub(in crate::session) fn passes(&mut self, at: u64) {
        if self.began().is_some() {
            self.last = Some(at);
        }
    }

    /// A FIN.
    pub(in crate::session) fn fin(&mut self, at: u64, side: Side) {
        match self.fin {
            None => self.fin = Some(Fin { at, side }),
            Some(first) if first.side != side => self.second_fin = Some(at),
            Some(_) => {}
        }
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }

    /// Where a side's FIN lies in its stream.
    pub(in crate::session) fn fin_follows(&mut self, side: Side, position: Seq) {
        self.positions[side as usize].get_or_insert(position);
    }

    /// Where a side's FIN lies in its stream.
    pub(in crate::session) fn position_of_fin(&self, side: Side) -> Option<Seq> {
        self.positions[side as usize]
    }

    /// A RST; the first one counts.
    pub(in crate::session) fn reset_by(&mut self, reset: Reset) {
        self.reset.get_or_insert(reset);
        self.last = Some(self.last.map_or(reset.at, |last| last.max(reset.at)));
    }

    /// A FIN was acknowledged.
    pub(in crate::session) fn acknowledge(&mut self) {
        self.acknowledged |= self.fin.is_some() && self.second_fin.is_some();
    }

    /// Notes what either side waited for in vain when an end came.
    pub(in crate::session) fn note_strain(&mut self, sent: &[Counters; 2]) {
        self.probes.get_or_insert(unanswered_probes(sent));
        self.strained |= sent
            .iter()
            .any(|side| side.keep_alives > 0 || side.repeats > 0 || side.shut != 0);
    }

    /// The first FIN.
    pub(in crate::session) fn first_fin(&self) -> Option<Fin> {
        self.fin
    }

    /// The first RST.
    pub(in crate::session) fn reset(&self) -> Option<Reset> {
        self.reset
    }

    /// Whether a side has sent its FIN.
    pub(in crate::session) fn has_finished(&self, side: Side) -> bool {
        let first = self.fin.is_some_and(|fin| fin.side == side);
        first || (self.fin.is_some() && self.second_fin.is_some())
    }

    /// When the end began.
    pub(in crate::session) fn began(&self) -> Option<u64> {
        let fin = self.fin.map(|fin| fin.at);
        let reset = self.reset.map(|reset| reset.at);
        fin.into_iter().chain(reset).min()
    }

    /// When the last packet passed since then.
    pub(in crate::session) fn last(&self) -> Option<u64> {
        self.last
    }

    /// Keep-alive probes without an answer before the end.
    pub(in crate::session) fn probes(&self) -> Option<u32> {
        self.probes
    }

    /// Whether something had gone unanswered, or a window was closed, right before the end.
    pub(in crate::session) fn were_strained(&self) -> bool {
        self.strained
    }

    /// Whether both sides have said that they are done, or one has reset the connection.
    pub(in crate::session) fn are_over(&self) -> bool {
        self.second_fin.is_some() || self.reset.is_some()
    }

    /// Whether both sides have closed in order, to the last acknowledgement.
    pub(in crate::session) fn are_orderly(&self) -> bool {
        self.acknowledged && self.reset.is_none()
    }
}

/// Keep-alive probes of both sides that nobody has answered.
pub(in crate::session) fn unanswered_probes(sent: &[Counters; 2]) -> u32 {
    sent[0].keep_alives.saturating_add(sent[1].keep_alives)
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::event::Direction::{ToClient, ToServer};

    use super::*;

    #[test]
    fn two_fins_are_an_end_though_the_last_acknowledgement_was_missed() {
        let mut ends = Ends::default();
        ends.fin(10, ToServer);
        assert!(!ends.are_over());
        ends.fin(20, ToClient);
        assert!(ends.are_over() && !ends.are_orderly());
        ends.acknowledge();
        assert!(ends.are_orderly());
    }

    #[test]
    fn the_end_begins_with_whichever_came_first() {
        let mut ends = Ends::default();
        ends.fin(20, ToServer);
        ends.reset_by(Reset {
            at: 15,
            side: ToClient,
            ttl: 64,
        });
        assert_eq!(ends.began(), Some(15));
        assert!(ends.has_finished(ToServer) && !ends.has_finished(ToClient));
    }
}
