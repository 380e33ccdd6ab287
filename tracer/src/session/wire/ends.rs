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
    /// It acknowledges nothing: so speaks who knows of no such connection.
    pub(in crate::session) bare: bool,
}

/// How a connection's packets ended; most of their lives connections have not.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct Ends(Option<Box<Seen>>);

/// What was seen of the end.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    fin: Option<Fin>,
    /// The other side's FIN.
    second_fin: Option<u64>,
    /// Whose FINs were acknowledged.
    acknowledged: [bool; 2],
    reset: Option<Reset>,
    /// Where in its side's stream each FIN lies.
    positions: [Option<Seq>; 2],
    /// The last packet seen since the first of them.
    last: Option<u64>,
    /// Keep-alive probes without an answer before the first of them.
    probes: Option<u32>,
    /// Segments that the client had sent again since it had heard anything before the first of them.
    copies: u32,
    /// Payload, or the other side's FIN, passed unseen before it.
    missed_before: bool,
    /// When the last data passed before it.
    idle_since: u64,
    /// Requests without answer then.
    in_flight: u32,
    /// How long nothing had passed when they were asked.
    pause: u64,
    /// Something had gone unanswered, or a window was closed, right before.
    strained: bool,
}

impl Ends {
    fn seen(&mut self) -> &mut Seen {
        self.0.get_or_insert_default()
    }

    /// A packet passes.
    pub(in crate::session) fn passes(&mut self, at: u64) {
        if self.began().is_some() {
            self.seen().last = Some(at);
        }
    }

    /// A FIN.
    pub(in crate::session) fn fin(&mut self, at: u64, side: Side) {
        let seen = self.seen();
        match seen.fin {
            None => seen.fin = Some(Fin { at, side }),
            Some(first) if first.side != side => seen.second_fin = Some(at),
            Some(_) => {}
        }
        seen.last = Some(seen.last.map_or(at, |last| last.max(at)));
    }

    /// Where a side's FIN lies in its stream.
    pub(in crate::session) fn fin_follows(&mut self, side: Side, position: Seq) {
        self.seen().positions[side as usize].get_or_insert(position);
    }

    /// Where a side's FIN lies in its stream.
    pub(in crate::session) fn position_of_fin(&self, side: Side) -> Option<Seq> {
        self.0.as_ref()?.positions[side as usize]
    }

    /// A RST; the first one counts.
    pub(in crate::session) fn reset_by(&mut self, reset: Reset) {
        let seen = self.seen();
        seen.reset.get_or_insert(reset);
        seen.last = Some(seen.last.map_or(reset.at, |last| last.max(reset.at)));
    }

    /// A packet of `by` acknowledges all up to a position: the other side's FIN too, if it lies before.
    pub(in crate::session) fn acknowledge(&mut self, by: Side, up_to: Seq) {
        let other = by.reversed();
        let position = self.position_of_fin(other);
        if position.is_some_and(|fin| up_to.after(fin)) {
            self.seen().acknowledged[other as usize] = true;
        }
    }

    /// Payload, or the other side's FIN, passed unseen before it.
    pub(in crate::session) fn note_missed_before(&mut self) {
        self.seen().missed_before = true;
    }

    /// Whether payload, or the other side's FIN, passed unseen before it.
    pub(in crate::session) fn missed_before(&self) -> bool {
        self.0.as_ref().is_some_and(|seen| seen.missed_before)
    }

    /// Notes what either side waited for in vain when an end came.
    pub(in crate::session) fn note_strain(&mut self, sent: &[Counters; 2]) {
        let seen = self.seen();
        seen.probes.get_or_insert(unanswered_probes(sent));
        seen.strained |= sent
            .iter()
            .any(|side| side.keep_alives > 0 || side.repeats > 0 || side.shut != 0);
    }

    /// Notes when the last data of each side passed before an end, the requests it leaves without answer, and what the
    /// client had sent again in vain.
    pub(in crate::session) fn leaves(
        &mut self,
        [client, server]: [u64; 2],
        (in_flight, copies): (u32, u32),
    ) {
        let seen = self.seen();
        (seen.idle_since, seen.in_flight) = (client.max(server), in_flight);
        seen.copies = copies;
        if in_flight > 0 && server > 0 {
            seen.pause = client.saturating_sub(server);
        }
    }

    /// How long nothing had passed when the requests were asked that the end left without answer.
    pub(in crate::session) fn pause(&self) -> u64 {
        self.0.as_ref().map_or(0, |seen| seen.pause)
    }

    /// When the last data passed before the end began.
    pub(in crate::session) fn idle_since(&self) -> u64 {
        self.0.as_ref().map_or(0, |seen| seen.idle_since)
    }

    /// Requests without answer when the end began.
    pub(in crate::session) fn left_in_flight(&self) -> u32 {
        self.0.as_ref().map_or(0, |seen| seen.in_flight)
    }

    /// The first FIN.
    pub(in crate::session) fn first_fin(&self) -> Option<Fin> {
        self.0.as_ref()?.fin
    }

    /// The first RST.
    pub(in crate::session) fn reset(&self) -> Option<Reset> {
        self.0.as_ref()?.reset
    }

    /// Whether a side has sent its FIN.
    pub(in crate::session) fn has_finished(&self, side: Side) -> bool {
        self.0.as_ref().is_some_and(|seen| {
            let first = seen.fin.is_some_and(|fin| fin.side == side);
            first || (seen.fin.is_some() && seen.second_fin.is_some())
        })
    }

    /// When the end began.
    pub(in crate::session) fn began(&self) -> Option<u64> {
        let seen = self.0.as_ref()?;
        let fin = seen.fin.map(|fin| fin.at);
        let reset = seen.reset.map(|reset| reset.at);
        fin.into_iter().chain(reset).min()
    }

    /// When the last packet passed since then.
    pub(in crate::session) fn last(&self) -> Option<u64> {
        self.0.as_ref()?.last
    }

    /// Keep-alive probes without an answer before the end.
    pub(in crate::session) fn probes(&self) -> Option<u32> {
        self.0.as_ref()?.probes
    }

    /// Segments that the client had sent again since it had heard anything before the end.
    pub(in crate::session) fn copies(&self) -> u32 {
        self.0.as_ref().map_or(0, |seen| seen.copies)
    }

    /// Whether something had gone unanswered, or a window was closed, right before the end.
    pub(in crate::session) fn were_strained(&self) -> bool {
        self.0.as_ref().is_some_and(|seen| seen.strained)
    }

    /// Whether both sides have said that they are done, or one has reset the connection.
    pub(in crate::session) fn are_over(&self) -> bool {
        let over = |seen: &Seen| seen.second_fin.is_some() || seen.reset.is_some();
        self.0.as_deref().is_some_and(over)
    }

    /// Whether both sides have closed in order, to the last acknowledgement.
    pub(in crate::session) fn are_orderly(&self) -> bool {
        let orderly = |seen: &Seen| seen.acknowledged == [true, true] && seen.reset.is_none();
        self.0.as_deref().is_some_and(orderly)
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
        ends.fin_follows(ToServer, Seq(100));
        ends.fin_follows(ToClient, Seq(500));
        ends.acknowledge(ToClient, Seq(101));
        ends.acknowledge(ToServer, Seq(500));
        assert!(!ends.are_orderly(), "the last one is missing");
        ends.acknowledge(ToServer, Seq(501));
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
            bare: false,
        });
        assert_eq!(ends.began(), Some(15));
        assert!(ends.has_finished(ToServer) && !ends.has_finished(ToClient));
    }

    #[test]
    fn requests_left_without_answer_came_after_a_pause() {
        let mut ends = Ends::default();
        ends.leaves([500, 100], (1, 0));
        assert_eq!((ends.pause(), ends.idle_since()), (400, 500));
        let mut answered = Ends::default();
        answered.leaves([500, 510], (0, 0));
        assert_eq!(answered.pause(), 0);
    }
}
