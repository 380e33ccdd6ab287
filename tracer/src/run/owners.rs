//! Whose the connections are: the kernel's word, and what `/proc` adds to it.

use tracer_ebpf::{
    event::{Event, Owner, mark},
    seq::Seq,
};

use crate::{
    host::{Earlier, Processes},
    session::SocketOwner,
};

/// Whose the connections are.
pub(super) struct Owners {
    pub(super) processes: Processes,
    pub(super) earlier: Earlier,
}

impl Owners {
    pub(super) fn of(&mut self, mut owner: Owner) -> SocketOwner {
        self.earlier.complete(&mut owner);
        let isns = owner.client_isn != Seq(0) || owner.server_isn != Seq(0);
        SocketOwner {
            key: owner.key,
            role: owner.role,
            time: owner.time,
            isns: isns.then_some([owner.client_isn, owner.server_isn]),
            process: self.processes.of(&owner),
        }
    }

    /// Those of a connection that was open before the agent watched.
    pub(super) fn of_earlier(&mut self, event: &Event) -> Vec<SocketOwner> {
        if self.earlier.is_empty() {
            return Vec::new();
        }
        let owners = self.earlier.take(&event.key, event.time);
        if event.marks & mark::JOINED_LATE == 0 {
            return Vec::new();
        }
        owners.into_iter().map(|owner| self.of(owner)).collect()
    }
}
