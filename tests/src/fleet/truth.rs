//! What truly happened on a fleet's day.

use std::collections::BTreeMap;

use tracer::record::Outcome;

use super::{story::Story, world::server_address};

/// Counts of what happened, each connection once.
#[derive(Debug, Default)]
pub struct Truth {
    /// Lines, without those that are delivered twice and those that are lost on the way.
    pub lines: u64,
    /// Connections by their outcome.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Connections by the cause of what went wrong.
    pub causes: BTreeMap<&'static str, u64>,
    /// Connections by the server's address.
    pub servers: BTreeMap<String, u64>,
    /// Connections that both hosts saw.
    pub seen_twice: u64,
    /// Logins of each incident, and those of them that failed.
    pub incidents: Vec<(u64, u64)>,
    /// Records that an agent lost.
    pub lost: u64,
    /// Lines that were lost on the way.
    pub leaked: u64,
}

impl Truth {
    pub(super) fn count(&mut self, story: &Story, behind: Option<&Story>) {
        for one in [Some(story), behind].into_iter().flatten() {
            *self.outcomes.entry(one.outcome.as_str()).or_default() += 1;
            let server = server_address(one.server).to_string();
            *self.servers.entry(server).or_default() += 1;
            self.seen_twice += u64::from(one.outcome != Outcome::Unreachable);
            if let Some(wrong) = one.wrong {
                *self.causes.entry(wrong.cause).or_default() += 1;
            }
        }
    }

    /// All connections.
    pub fn connections(&self) -> u64 {
        self.outcomes.values().sum()
    }
}
