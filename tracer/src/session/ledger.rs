//! Who spoke when, and who owes the next message: what phases and waits are computed from.
//!
//! The ledger knows nothing of protocols. Whoever reads packets and messages writes down each one
//! that moved the conversation forward, with the side that has to speak next. A farewell (a
//! `close_notify`, an attention, a FIN, a RST, a keep-alive) moves nothing and is not written down:
//! the time until then belongs to whoever owed.

use tracer_ebpf::seq::Seq;

use super::input::Side;
use crate::record::PhaseName;

/// Steps kept of one login; a login has a few dozen. Beyond, a side's further steps extend its last.
const MAX_STEPS: usize = 256;
/// Repetitions kept of one login.
const MAX_REPEATS: usize = 128;
/// Acknowledgements of the server kept of one login.
const MAX_ACKNOWLEDGED: usize = 64;
/// Segments of each side in which the first copy of a repeated one is looked for.
const MAX_SEGMENTS: usize = 64;

/// Something that moved the conversation forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Step {
    /// When it had passed.
    pub(in crate::session) at: u64,
    /// Whose it was.
    pub(in crate::session) side: Side,
    /// Who has to speak next.
    pub(in crate::session) owed_by: Side,
}

/// A message that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Debt {
    /// Who has to send it.
    pub(in crate::session) by: Side,
    /// Since when, nanoseconds as in events.
    pub(in crate::session) since: u64,
}

/// A packet that was sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Repeat {
    pub(in crate::session) side: Side,
    /// When its first copy passed.
    pub(in crate::session) first: u64,
    /// When this one did.
    pub(in crate::session) again: u64,
    /// Bytes of its payload.
    pub(in crate::session) length: u32,
}

/// A phase of the login, as far as its ends were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Row {
    pub(in crate::session) name: PhaseName,
    /// When the message that begins it passed; `None` where that was not seen.
    pub(in crate::session) begins: Option<u64>,
    /// When it ended; `None` while it lasts.
    pub(in crate::session) ends: Option<u64>,
    /// Whether what ends it in order was seen.
    pub(in crate::session) complete: bool,
}

/// A segment with payload: where it lies in its side's stream, and when it passed first.
#[derive(Clone, Copy, Debug)]
struct Sent {
    side: Side,
    from: Seq,
    to: Seq,
    at: u64,
}

/// What happened in a login so far.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct Ledger {
    steps: Vec<Step>,
    rows: Vec<Row>,
    repeats: Vec<Repeat>,
    sent: Vec<Sent>,
    acknowledged: Vec<u64>,
}

impl Ledger {
    /// A message, or a part of one, of `side`; `owed_by` has to speak next.
    pub(in crate::session) fn step(&mut self, at: u64, side: Side, owed_by: Side) {
        // Packets of two processors may come a little out of order.
        let at = at.max(self.last_step().map_or(0, |last| last.at));
        let step = Step { at, side, owed_by };
        if self.steps.len() >= MAX_STEPS
            && let Some(last) = self.steps.last_mut().filter(|last| last.side == side)
        {
            *last = step;
            return;
        }
        if self.steps.len() < 2 * MAX_STEPS {
            self.steps.push(step);
        }
    }

    /// Puts in a step that was understood later than those after it.
    pub(in crate::session) fn insert(&mut self, step: Step) {
        let place = self.steps.partition_point(|other| other.at <= step.at);
        if self.steps.len() < 2 * MAX_STEPS {
            self.steps.insert(place, step);
        }
    }

    /// The steps, in the order of time.
    pub(in crate::session) fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(in crate::session) fn last_step(&self) -> Option<&Step> {
        self.steps.last()
    }

    /// The message that is due now; nothing before the first step.
    pub(in crate::session) fn debt(&self) -> Option<Debt> {
        self.last_step().map(|step| Debt {
            by: step.owed_by,
            since: step.at,
        })
    }

    /// Takes back what `side` said last, and the phases it ended or began: it did not arrive.
    pub(in crate::session) fn unsay(&mut self, side: Side) {
        let mut taken_back = None;
        while let Some(last) = self.steps.last().filter(|step| step.side == side) {
            taken_back = Some(last.at);
            self.steps.pop();
        }
        let Some(from) = taken_back else { return };
        self.rows
            .retain(|row| row.begins.is_none_or(|begins| begins < from));
        for row in &mut self.rows {
            if row.ends.is_some_and(|ends| ends >= from) {
                row.ends = None;
                row.complete = false;
            }
        }
    }

    /// The server has last acknowledged something new at this moment, by whatever packet.
    pub(in crate::session) fn acknowledged(&mut self, at: u64) {
        let is_new = self.acknowledged.last().is_none_or(|last| *last < at);
        if is_new && self.acknowledged.len() < MAX_ACKNOWLEDGED {
            self.acknowledged.push(at);
        }
    }

    /// When the server acknowledged something new first between a question and what ended the wait for its answer,
    /// where that was seen.
    pub(in crate::session) fn acknowledged_between(&self, asked: u64, until: u64) -> Option<u64> {
        let mut all = self.acknowledged.iter().copied();
        all.find(|at| (asked..until).contains(at))
    }

    /// A segment of `side` with payload, which passed for the first time.
    pub(in crate::session) fn sent(&mut self, side: Side, from: Seq, to: Seq, at: u64) {
        if self.sent.len() >= 2 * MAX_SEGMENTS {
            self.sent.remove(0);
        }
        self.sent.push(Sent { side, from, to, at });
    }

    /// The same payload once more.
    pub(in crate::session) fn sent_again(&mut self, side: Side, from: Seq, to: Seq, at: u64) {
        let mut same = self.sent.iter().filter(|sent| sent.side == side);
        let first = same.find(|sent| sent.from.before(to) && sent.to.after(from));
        let first = first.map_or(at, |sent| sent.at);
        self.note_repeat(side, first, at, to.since(from).unsigned_abs());
    }

    /// A packet of `side` without payload that passed at `first` passes once more.
    pub(in crate::session) fn repeat(&mut self, side: Side, first: u64, again: u64) {
        self.note_repeat(side, first, again, 0);
    }

    fn note_repeat(&mut self, side: Side, first: u64, again: u64, length: u32) {
        if self.repeats.len() < MAX_REPEATS {
            self.repeats.push(Repeat {
                side,
                first,
                again,
                length,
            });
        }
    }

    /// The times in which nothing but a lost packet was waited for: from its first copy to its last,
    /// unless the other side spoke in between.
    fn unanswered_repeats(&self) -> impl Iterator<Item = (u64, u64)> {
        let answered = |repeat: &Repeat| {
            let between = |step: &&Step| step.at > repeat.first && step.at < repeat.again;
            let mut between = self.steps.iter().filter(between);
            between.any(|step| step.side != repeat.side)
        };
        let unanswered = self.repeats.iter().filter(move |repeat| !answered(repeat));
        unanswered.map(|repeat| (repeat.first, repeat.again))
    }

    /// Packets that were sent again.
    pub(in crate::session) fn repeats(&self) -> &[Repeat] {
        &self.repeats
    }

    /// How much of a time lies between the copies of packets that were sent again.
    pub(in crate::session) fn repeated(&self, from: u64, to: u64) -> u64 {
        let mut spans: Vec<(u64, u64)> = self
            .unanswered_repeats()
            .map(|(first, again)| (first.max(from), again.min(to)))
            .filter(|(first, again)| first < again)
            .collect();
        spans.sort_unstable();
        let mut reached = from;
        let mut sum = 0;
        for (first, again) in spans {
            sum += again.saturating_sub(first.max(reached));
            reached = reached.max(again);
        }
        sum
    }

    /// The message passes that begins a phase. A phase begins once.
    pub(in crate::session) fn begin(&mut self, name: PhaseName, at: u64) {
        let row = self.row(name);
        if row.ends.is_none() {
            row.begins.get_or_insert(at);
        }
    }

    /// What seemed to begin a phase did not.
    pub(in crate::session) fn forget_beginning(&mut self, name: PhaseName) {
        self.row(name).begins = None;
    }

    /// A phase ends; `complete` where what ends it in order was seen. A phase ends once.
    pub(in crate::session) fn end(&mut self, name: PhaseName, at: u64, complete: bool) {
        let row = self.row(name);
        if row.ends.is_none() {
            row.ends = Some(at);
            row.complete = complete;
        }
    }

    fn row(&mut self, name: PhaseName) -> &mut Row {
        let known = self.rows.iter().position(|row| row.name == name);
        let place = known.unwrap_or_else(|| {
            self.rows.push(Row {
                name,
                begins: None,
                ends: None,
                complete: false,
            });
            self.rows.len() - 1
        });
        &mut self.rows[place]
    }

    /// The phases, in the order in which they were first heard of.
    pub(in crate::session) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The last phase heard of, if it has begun and not ended.
    pub(in crate::session) fn open_phase(&self) -> Option<PhaseName> {
        let last = self.rows.last()?;
        (last.begins.is_some() && last.ends.is_none()).then_some(last.name)
    }

    /// When the message passed that begins a phase, where it was seen.
    pub(in crate::session) fn begun(&self, name: PhaseName) -> Option<u64> {
        let row = self.rows.iter().find(|row| row.name == name)?;
        row.begins
    }

    /// Whether the message that begins a phase was seen.
    pub(in crate::session) fn has_begun(&self, name: PhaseName) -> bool {
        self.begun(name).is_some()
    }

    /// Whether a phase is over.
    pub(in crate::session) fn has_ended(&self, name: PhaseName) -> bool {
        let mut rows = self.rows.iter();
        rows.any(|row| row.name == name && row.ends.is_some())
    }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::event::Direction::{ToClient, ToServer};
    use tracer_ebpf::seq::Seq;

    use super::*;

    #[test]
    fn the_side_that_was_spoken_to_owes_since_then() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.debt(), None);
        ledger.step(10, ToServer, ToClient);
        let by_server = Debt {
            by: ToClient,
            since: 10,
        };
        assert_eq!(ledger.debt(), Some(by_server));
        ledger.step(40, ToClient, ToServer);
        let by_client = Debt {
            by: ToServer,
            since: 40,
        };
        assert_eq!(ledger.debt(), Some(by_client));
        ledger.unsay(ToClient);
        assert_eq!(ledger.debt(), Some(by_server));
    }

    #[test]
    fn a_packet_sent_again_is_known_by_its_place_in_the_stream() {
        let mut ledger = Ledger::default();
        ledger.sent(ToServer, Seq(1), Seq(100), 5);
        ledger.sent_again(ToServer, Seq(1), Seq(100), 205);
        assert!(ledger.unanswered_repeats().eq([(5, 205)]));
    }

    #[test]
    fn a_packet_sent_again_after_its_answer_is_no_wait() {
        let mut ledger = Ledger::default();
        ledger.sent(ToServer, Seq(1), Seq(100), 5);
        ledger.step(5, ToServer, ToClient);
        ledger.step(150, ToClient, ToServer);
        ledger.sent_again(ToServer, Seq(1), Seq(100), 205);
        assert_eq!(ledger.unanswered_repeats().count(), 0);
        assert_eq!(ledger.repeats().len(), 1);
    }

    #[test]
    fn a_question_is_acknowledged_by_what_comes_before_its_answer() {
        let mut ledger = Ledger::default();
        for at in [0, 90, 90, 120, 500] {
            ledger.acknowledged(at);
        }
        assert_eq!(ledger.acknowledged_between(100, 500), Some(120));
        assert_eq!(
            ledger.acknowledged_between(130, 500),
            None,
            "the answer alone does"
        );
        assert_eq!(ledger.acknowledged_between(90, 100), Some(90));
    }

    #[test]
    fn a_phase_begins_and_ends_once() {
        let mut ledger = Ledger::default();
        ledger.begin(PhaseName::Tls, 10);
        ledger.begin(PhaseName::Tls, 20);
        ledger.end(PhaseName::Tls, 30, true);
        ledger.end(PhaseName::Tls, 40, false);
        let row = ledger.rows()[0];
        assert_eq!(
            (row.begins, row.ends, row.complete),
            (Some(10), Some(30), true)
        );
    }

    #[test]
    fn a_login_without_end_takes_no_more_memory() {
        let mut ledger = Ledger::default();
        for at in 0..100_000 {
            let side = if at % 2 == 0 { ToServer } else { ToClient };
            ledger.step(at, side, side.reversed());
            ledger.sent(side, Seq(at as u32), Seq(at as u32 + 1), at);
            ledger.sent_again(side, Seq(at as u32), Seq(at as u32 + 1), at);
        }
        assert!(ledger.steps.len() <= 2 * MAX_STEPS);
        assert!(ledger.sent.len() <= 2 * MAX_SEGMENTS);
        assert!(ledger.repeats.len() <= MAX_REPEATS);
    }
}
