//! Connections that are seen at interfaces beside sockets: what a socket tells is not told once more.
//!
//! The programs know nearly always what a socket tells, and say so. But a SYN passes an interface before its
//! listener is given it, and of two processors' records either may be read first: what was told of it steps
//! aside then, under whatever addresses.

use tracer_ebpf::{
    event::{Event, Kind, Translated, mark},
    flow::FlowKey,
};

use super::{Table, slot::Slot};
use crate::session::report::Report;

/// Whether an event may open a connection: beside sockets a SYN must.
pub(super) fn may_open(event: &Event) -> bool {
    let opens = event.kind == Kind::Syn as u8 && event.marks & mark::JOINED_LATE == 0;
    opens || !event.is_beside()
}

impl Table {
    /// Whether an event is none of the connection that sockets tell under its addresses: what passes
    /// interfaces under them is that one too, or will never reach a socket of this host.
    pub(super) fn is_told_at_sockets(&self, event: &Event) -> bool {
        let slot = self.slots.get(&event.key);
        event.is_beside() && slot.and_then(Slot::is_beside) == Some(false)
    }

    /// The connection that was seen at interfaces under the addresses of one that a socket tells now, if it
    /// is the same.
    pub(super) fn passes_here(&self, event: &Event) -> Option<FlowKey> {
        let slot = self.slots.get(&event.key)?;
        let is_it = !event.is_beside()
            && slot.is_beside() == Some(true)
            && slot.client_isn() == Some(event.client.isn);
        is_it.then_some(event.key)
    }

    /// What was told at interfaces under these addresses, if anything, is a socket's to tell by others.
    pub(super) fn withdraw(&mut self, translated: &Translated, report: &mut Report<'_>) {
        let slot = self.slots.get(&translated.other);
        if slot.and_then(Slot::is_beside) != Some(true) {
            return;
        }
        let told_by = self.told_by(translated.key);
        if let Some((before, born)) = self.step_aside(translated.other, report)
            && told_by != translated.other
        {
            self.is_same(before.wire.key, born, told_by, report);
        }
    }
}

#[cfg(test)]
mod tests;
