//! Sockets that are known before their connection's first packet.

use foldhash::HashMap;
use tracer_ebpf::{event::role, flow::FlowKey};

use super::slot::LINGER;
use crate::session::input::SocketOwner;

/// Sockets kept.
const MAX_OWNERS: usize = 16 * 1024;

/// By connection, and whether it is the client's socket.
#[derive(Debug, Default)]
pub(super) struct Owners(HashMap<(FlowKey, bool), SocketOwner>);

impl Owners {
    /// Keeps a socket until its connection's first packet; whether there was room.
    pub(super) fn keep(&mut self, owner: SocketOwner) -> bool {
        let is_room = self.0.len() < MAX_OWNERS;
        if is_room {
            let is_clients = owner.role & role::CLIENT != 0;
            self.0.insert((owner.key, is_clients), owner);
        }
        is_room
    }

    /// The sockets of a connection, the client's first.
    pub(super) fn take(&mut self, key: &FlowKey) -> Vec<SocketOwner> {
        let both = [true, false].map(|is_clients| self.0.remove(&(*key, is_clients)));
        both.into_iter().flatten().collect()
    }

    /// Forgets those whose connection has not come for long.
    pub(super) fn forget(&mut self, now: u64) {
        self.0
            .retain(|_, owner| owner.time.saturating_add(LINGER) > now);
    }
}
