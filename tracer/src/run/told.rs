//! From the kernel's records to the engine.

use super::{datagrams, opening, owners::Owners, ports::Word, records::Records, witnesses};
use crate::{
    probe,
    session::{Engine, Input},
};

/// Tells the engine what the kernel has told.
pub(super) fn tell(
    engine: &mut Engine,
    owners: &mut Owners,
    record: probe::Record<'_>,
    to: &mut Records,
) {
    match record {
        probe::Record::Event(event, run) => {
            for owner in owners.of_earlier(&event) {
                engine.on_event(Input::Owner(owner), to);
            }
            if let Some(recorder) = &mut to.recorder {
                recorder.note(&event, run);
            }
            engine.on_event(Input::Event(&event, run), to);
        }
        probe::Record::Header(header) => engine.on_event(Input::Header(&header), to),
        probe::Record::Owner(owner) => {
            let owner = owners.of(owner);
            witnesses::tell(&owner, &mut to.witness);
            to.named.connects(&owner);
            engine.on_event(Input::Owner(owner), to);
        }
        probe::Record::SocketEnd(end) => engine.on_event(Input::SocketEnd(end), to),
        probe::Record::Translated(other) => engine.on_event(Input::Translated(other), to),
        probe::Record::Datagram(told, packet) => {
            to.named.asks(told.pid);
            datagrams::tell(engine, owners, &told, packet, to);
        }
        probe::Record::Opening(opening) => opening::tell(&opening, engine, to),
        probe::Record::Bound(bound) => to.words.extend(Word::of_process(&bound)),
    }
}
