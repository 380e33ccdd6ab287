//! What a packet tells, on its way to the engine.

use tracer_ebpf::{
    bytes::Snapped,
    event::{Event, mark},
    flow::FlowKey,
    loss,
    observe::{Runs, Sink, Told},
    tally::Tally,
};

use super::{
    super::shown::Shown,
    proof::{Candidate, Held},
};
use crate::{
    record::LossReason,
    session::{Engine, Input, Listener},
};

/// Hands events to the engine, or holds them back.
pub(super) struct Teller<'a> {
    /// What the packet's events are marked with.
    pub(super) marks: u8,
    pub(super) candidate: Option<&'a mut Candidate>,
    /// The connection's requests.
    pub(super) tally: &'a mut Option<Box<Tally>>,
    /// Whether a packet without a time was counted among them.
    pub(super) untimed: &'a mut bool,
    /// Whether they are counted.
    pub(super) counts: bool,
    /// Where it is noted what of the packet is told.
    pub(super) shown: Option<&'a mut Shown>,
    pub(super) engine: &'a mut Engine,
    pub(super) to: &'a mut dyn Listener,
}

impl Teller<'_> {
    /// Says something of the connection, or holds it back.
    pub(super) fn say(&mut self, said: Held, key: FlowKey) {
        match &mut self.candidate {
            Some(candidate) => candidate.hold(said),
            None => said.tell(key, self.engine, self.to),
        }
    }
}

impl Sink<Snapped<'_>> for Teller<'_> {
    fn tell(&mut self, event: &Event, packet: &Snapped<'_>, at: u32) {
        let from = packet.kept.get(at as usize..).unwrap_or_default();
        // What the snap length cut off is missing, as if it had been lost.
        self.event(event, &from[..from.len().min(event.run_len as usize)]);
    }

    fn relate_parts(&mut self, told: &Told<'_>, packet: &Snapped<'_>, runs: &Runs) {
        let event = told.event();
        let payload = packet.kept.get(told.offset(event.seq) as usize..);
        let mut run = Vec::new();
        runs.each_byte(event.seq, payload.unwrap_or_default(), |bytes| {
            run.extend_from_slice(bytes);
        });
        self.event(&event, &run);
    }

    fn tally(&mut self) -> Option<&mut Tally> {
        *self.untimed |= self.marks & mark::UNTIMED != 0;
        self.counts
            .then(|| self.tally.get_or_insert_default().as_mut())
    }

    fn relate_tally(&mut self, told: &Told<'_>) {
        let mut run = Vec::with_capacity(Tally::SIZE);
        if let Some(tally) = self.tally.as_deref() {
            tally.write(&mut |bytes| run.extend_from_slice(bytes));
        }
        if *self.untimed {
            self.marks |= mark::UNTIMED;
        }
        self.event(&told.event(), &run);
    }

    fn lose(&mut self, reason: loss::LossReason) {
        let reason = LossReason::from(reason);
        match &mut self.candidate {
            Some(candidate) => candidate.hold(Held::Loss(reason)),
            None => self.engine.on_event(Input::Loss(reason, 1), self.to),
        }
    }
}

impl Teller<'_> {
    fn event(&mut self, event: &Event, run: &[u8]) {
        if let Some(shown) = &mut self.shown {
            shown.event(event, run);
        }
        let marked;
        let event = if self.marks == 0 {
            event
        } else {
            marked = Event {
                marks: event.marks | self.marks,
                ..*event
            };
            &marked
        };
        match &mut self.candidate {
            Some(candidate) => candidate.hold(Held::Event(Box::new(*event), run.to_vec())),
            None => self.engine.on_event(Input::Event(event, run), self.to),
        }
    }
}
