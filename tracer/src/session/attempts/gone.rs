//! Connections that were in use and are gone: a driver may log in again to recover the session.

use std::collections::VecDeque;

use super::Who;
use crate::{record::ConnectionId, session::wire::End};

/// Connections remembered, the last ones.
const MAX_GONE: usize = 256;
/// So long after its connection ended a session is recovered, nanoseconds: drivers try up to 255 times
/// (`ConnectRetryCount`), ten seconds apart unless told otherwise, within the command's timeout.
const RECOVERED: u64 = 120_000_000_000;

/// A connection that has ended. Times are nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Gone {
    pub(in crate::session) who: Who,
    pub(in crate::session) server: End,
    pub(in crate::session) id: ConnectionId,
    /// When it began to end.
    pub(in crate::session) at: u64,
    /// How long nothing had passed by then.
    pub(in crate::session) idle: u64,
}

/// Those that ended last.
#[derive(Debug, Default)]
pub(super) struct Lately(VecDeque<Gone>);

impl Lately {
    pub(super) fn add(&mut self, gone: Gone) {
        if self.0.len() >= MAX_GONE {
            self.0.pop_front();
        }
        self.0.push_back(gone);
    }

    /// The connection whose session is recovered by a login that began then: the one that ended last.
    pub(super) fn recovered(&mut self, who: Who, server: End, started: u64) -> Option<Gone> {
        let place = self.0.iter().rposition(|gone| {
            let lately = gone.at <= started && started - gone.at <= RECOVERED;
            lately && gone.who == who && gone.server == server
        })?;
        self.0.remove(place)
    }
}
