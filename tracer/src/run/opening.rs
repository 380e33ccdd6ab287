//! How a connection opened that was told only once its first bytes had proved what it is.

use tracer_ebpf::{
    event::{Event, Opening},
    loss,
    observe::{Runs, Sink, Told},
};

use super::records::Records;
use crate::{
    record::LossReason,
    session::{Engine, Input},
};

/// Tells the engine what it would have been told before.
pub(super) fn tell(opening: &Opening, engine: &mut Engine, to: &mut Records) {
    opening.tell(&mut Teller { engine, to });
}

struct Teller<'a> {
    engine: &'a mut Engine,
    to: &'a mut Records,
}

impl Sink<[u8]> for Teller<'_> {
    fn tell(&mut self, event: &Event, _packet: &[u8], _at: u32) {
        if let Some(recorder) = &mut self.to.recorder {
            recorder.note(event, &[]);
        }
        self.engine.on_event(Input::Event(event, &[]), self.to);
    }

    // A handshake has no payload.
    fn relate_parts(&mut self, _told: &Told<'_>, _packet: &[u8], _runs: &Runs) {}

    fn lose(&mut self, reason: loss::LossReason) {
        let input = Input::Loss(LossReason::from(reason), 1);
        self.engine.on_event(input, self.to);
    }
}
