//! The parts of a login's segment that are told: found along its headers, then told in records.

use super::Turn;
use crate::{
    bytes::Bytes,
    event::{Event, Kind},
    loss::LossReason,
    observe::{Scene, Sink, Told},
    seq::{Seq, Span},
};

/// Bytes that are told also when the budget is spent: headers.
const HEADER_ROOM: u32 = 24;

/// Bytes of a run that one record holds at most.
pub const MAX_RUN: u32 = 4096;
/// Records told in one turn.
pub const RECORDS_A_TURN: usize = 6;
/// Records one segment is told in at most: together a GSO packet's 64 KiB.
const MAX_RECORDS: u32 = 24;
/// Places for the visible runs of one segment, and for its end: a LOGIN7 has some ten, a reply as many as
/// tokens, and each TLS record is one.
pub const MAX_RUNS: usize = 32;
/// So that a mask bounds a run's place.
const _: () = assert!(MAX_RUNS.is_power_of_two());
/// As many runs are told of one segment.
const MOST_RUNS: u32 = MAX_RUNS as u32 - 1;
/// Bytes of several runs that one record holds at most, behind the runs' places.
const MAX_TOGETHER: u32 = MAX_RUN - (Event::SPAN * MAX_RUNS) as u32;

/// The visible runs of one segment. They are found first and told afterwards.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Runs {
    /// What had passed before ends here.
    pub(super) from: Seq,
    /// Runs found.
    count: u32,
    /// The runs.
    found: [Span; MAX_RUNS],
    /// Bytes of all of them.
    bytes: u32,
    /// Runs told.
    told: u32,
    /// 1: the segment was told; what follows is more of it.
    more: u32,
    /// Records told.
    records: u32,
    /// 1: what the message at hand goes on with lies in a hole.
    pub(super) behind: u32,
    /// 1: a request in the segment shows that the login is over.
    pub(super) request: u32,
}

impl Runs {
    /// Starts with the segment's bytes from there on, of which nothing is found yet. The zero is one that
    /// the compiler does not know: for the kernel it would make a loop over bytes of it.
    #[inline(always)]
    pub(super) fn start(&mut self, from: Seq) {
        self.from = from;
        let zero = core::hint::black_box(0);
        self.count = zero;
        self.bytes = zero;
        self.told = zero;
        self.more = zero;
        self.records = zero;
        self.behind = zero;
    }

    /// Whether none was found.
    #[inline(always)]
    pub(super) const fn are_none(&self) -> bool {
        self.count == 0
    }

    /// The place of a run. The kernel's verifier must see the mask that the compiler, knowing better, would
    /// leave out.
    #[inline(always)]
    fn place(&mut self, index: u32) -> &mut Span {
        let index = core::hint::black_box(index) as usize % MAX_RUNS;
        &mut self.found[index]
    }

    /// How many there are.
    #[inline(always)]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// One of them; an empty one is none.
    #[inline(always)]
    pub fn run(&self, index: usize) -> Span {
        self.found.get(index).copied().unwrap_or_default()
    }

    /// The bytes of a record that tells them all, taken from a packet's payload: their places, then
    /// themselves, as far as the payload has them.
    pub fn each_byte(&self, start: Seq, payload: &[u8], mut take: impl FnMut(&[u8])) {
        let runs = self.found.get(..self.count as usize).unwrap_or_default();
        for run in runs {
            take(&run.from.0.to_ne_bytes());
            take(&run.to.0.to_ne_bytes());
        }
        for run in runs {
            let at = run.from.since(start).max(0).cast_unsigned() as usize;
            let bytes = payload.get(at..).unwrap_or_default();
            take(bytes.get(..run.len() as usize).unwrap_or(bytes));
        }
    }

    /// What the next record is.
    #[inline(always)]
    const fn kind(&mut self) -> Kind {
        if self.more == 0 {
            self.more = 1;
            Kind::Segment
        } else {
            Kind::More
        }
    }
}

/// Adds a run, as far as the budget goes.
#[inline(always)]
pub(super) fn visible<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>, run: Span) {
    let count = scene.runs.count;
    let last = *scene.runs.place(count.wrapping_sub(1));
    let mut from = run.from;
    // What the run before has is not told again.
    if count != 0 && from.at_or_after(last.from) {
        from = from.max(last.to);
    }
    let mut len = Span { from, to: run.to }.len();
    if len == 0 {
        return;
    }
    let budget = scene.config.login_bytes;
    let half = scene.flow.half(scene.step.direction);
    let left = budget.saturating_sub(half.copied);
    if len > HEADER_ROOM && len > left {
        len = left;
        if half.over_budget == 0 {
            half.over_budget = 1;
            scene.sink.lose(LossReason::BudgetSpent);
        }
    }
    let half = scene.flow.half(scene.step.direction);
    half.copied = half.copied.saturating_add(len);
    scene.runs.bytes = scene.runs.bytes.saturating_add(len);
    let to = from.add(len);
    if count != 0 && last.to.0 == from.0 {
        scene.runs.place(count - 1).to = to;
    } else if count < MOST_RUNS {
        *scene.runs.place(count) = Span { from, to };
        scene.runs.count = count + 1;
    } else {
        scene.sink.lose(LossReason::HeadersUnwalked);
    }
}

/// The last record of a segment always reaches its end, with no bytes where the rest is left out:
/// then the reader knows that it has all.
#[inline(always)]
pub(super) fn mark_end<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>, end: Seq) {
    let count = scene.runs.count;
    if count == 0 || scene.runs.place(count - 1).to.0 != end.0 {
        *scene.runs.place(count) = Span { from: end, to: end };
        scene.runs.count = count + 1;
    }
}

/// Tells the runs that were found, if one record has room for all of them. Apart, for the sake of the stack.
#[inline(never)]
pub(super) fn tell_at_once<B: Bytes + ?Sized, S: Sink<B>>(scene: &mut Scene<'_, B, S>) -> Turn {
    let count = scene.runs.count;
    if count == 0 {
        return after_runs(scene);
    }
    if scene.runs.bytes > MAX_TOGETHER {
        return Turn::Runs;
    }
    let mut saying = scene.saying(Kind::Segment);
    saying.parts = count as u16;
    saying.run_seq = scene.runs.run(0).from;
    saying.run_len = scene.runs.bytes + count * Event::SPAN as u32;
    let told = Told {
        flow: scene.flow,
        segment: scene.segment,
        seen: scene.seen,
        saying,
    };
    scene.sink.relate_parts(&told, scene.packet, scene.runs);
    after_runs(scene)
}

/// Tells the runs that were found, in records of at most [`MAX_RUN`] bytes, `at_once` of them in
/// this turn.
#[inline(always)]
pub fn tell_runs<B: Bytes + ?Sized, S: Sink<B>>(
    scene: &mut Scene<'_, B, S>,
    at_once: usize,
) -> Turn {
    // What goes from one record to the next is kept in `runs`: in a register, the kernel's verifier
    // would tell its values apart and walk each.
    for _ in 0..at_once {
        let index = scene.runs.told;
        if index >= scene.runs.count {
            return after_runs(scene);
        }
        let run = scene.runs.place(index);
        let from = run.from;
        let len = run.len().min(MAX_RUN);
        run.from = from.add(len);
        scene.runs.told += u32::from(run.is_empty());
        scene.runs.records += 1;
        let kind = scene.runs.kind();
        let mut saying = scene.saying(kind);
        saying.run_seq = from;
        saying.run_len = len;
        let at = scene.offset(from);
        scene.say(saying, at);
    }
    if scene.runs.told >= scene.runs.count {
        return after_runs(scene);
    }
    if scene.runs.records < MAX_RECORDS {
        return Turn::Runs;
    }
    scene.sink.lose(LossReason::BudgetSpent);
    after_runs(scene)
}

#[inline(always)]
fn after_runs<B: Bytes + ?Sized, S: Sink<B>>(scene: &Scene<'_, B, S>) -> Turn {
    if scene.runs.request != 0 {
        Turn::Command
    } else {
        Turn::Nothing
    }
}
