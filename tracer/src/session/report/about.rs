//! What is known of a connection beside its packets and messages.

use std::{collections::BTreeSet, sync::Arc};

use crate::record::{PartialReason, PhaseName, Process};

/// What is known of a connection whatever its login has come to.
#[derive(Debug, Default)]
pub(in crate::session) struct About {
    /// Why not all of it was seen.
    pub(in crate::session) partial: BTreeSet<PartialReason>,
    /// The interface on which it was seen first.
    pub(in crate::session) ifindex: u32,
    pub(in crate::session) process: Option<Arc<Process>>,
    /// It is the client's.
    pub(in crate::session) is_clients: bool,
    /// The phase the connection ended in.
    pub(in crate::session) ended_in: Option<PhaseName>,
    /// When the last data passed before the connection began to end.
    pub(in crate::session) idle_since: u64,
    /// Requests without answer when the connection ended.
    pub(in crate::session) left_in_flight: u32,
    /// A message of the server was due then.
    pub(in crate::session) owed_by_server: bool,
    /// The client had ended TLS in order.
    pub(in crate::session) client_bye: bool,
}

impl About {
    /// Whether all that passed so far was seen: that nobody watches any more takes nothing away.
    pub(in crate::session) fn is_whole(&self) -> bool {
        let mut reasons = self.partial.iter();
        reasons.all(|reason| matches!(reason, PartialReason::AgentStop | PartialReason::Evicted))
    }
}
