//! What is known of a connection beside its packets and messages.

use std::sync::Arc;

use crate::record::{PartialReason, PhaseName, Process};

/// What is known of a connection whatever its login has come to.
#[derive(Debug, Default)]
pub(in crate::session) struct About {
    /// Why not all of it was seen.
    pub(in crate::session) partial: Reasons,
    /// The interface on which it was seen first.
    pub(in crate::session) ifindex: u32,
    pub(in crate::session) process: Option<Arc<Process>>,
    /// It is the client's.
    pub(in crate::session) is_clients: bool,
    /// The phase the connection ended in.
    pub(in crate::session) ended_in: Option<PhaseName>,
    /// A message of the server was due then.
    pub(in crate::session) owed_by_server: bool,
}

impl About {
    /// Whether all that passed so far was seen: that nobody watches any more takes nothing away.
    pub(in crate::session) fn is_whole(&self) -> bool {
        let mut reasons = self.partial.iter();
        reasons.all(|reason| matches!(reason, PartialReason::AgentStop | PartialReason::Evicted))
    }
}

/// Reasons, each a bit.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::session) struct Reasons(u8);

impl Reasons {
    const ALL: [PartialReason; 6] = [
        PartialReason::JoinedLate,
        PartialReason::EventsLost,
        PartialReason::Gap,
        PartialReason::Evicted,
        PartialReason::AgentStop,
        PartialReason::Untimed,
    ];

    /// One more.
    pub(in crate::session) fn insert(&mut self, reason: PartialReason) {
        self.0 |= 1 << reason as u8;
    }

    /// Whether it is among them.
    pub(in crate::session) fn contains(self, reason: PartialReason) -> bool {
        self.0 & 1 << reason as u8 != 0
    }

    /// Whether there is none.
    pub(in crate::session) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// They, one after the other.
    pub(in crate::session) fn iter(self) -> impl Iterator<Item = PartialReason> {
        let all = Self::ALL.into_iter();
        all.filter(move |reason| self.contains(*reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_there_once_it_was_given() {
        let mut reasons = Reasons::default();
        assert!(reasons.is_empty());
        for (place, reason) in Reasons::ALL.into_iter().enumerate() {
            assert!(!reasons.contains(reason));
            reasons.insert(reason);
            assert!(reasons.contains(reason) && !reasons.is_empty());
            assert_eq!(reasons.iter().count(), place + 1);
        }
    }
}
