//! `attempt`: of a watched process that no packet shows.

use sha1::{Digest, Sha1};

use super::Report;
use crate::{
    record::{
        Attempt, AttemptClient, AttemptId, AttemptRecord, Body, Nanos, Outcome, Part, PartKind,
        PartOutcome, Target, Text, UntriedOutcome,
    },
    session::{
        diagnosis::ranked_of_untried,
        host::{Hindrance, Untried},
    },
};

impl Report<'_> {
    /// Tells what a watched process did in vain, or that it did nothing.
    pub(in crate::session) fn untried(&mut self, untried: &Untried) {
        let duration = Nanos(untried.to.saturating_sub(untried.from));
        let (kind, outcome) = match untried.hindrance {
            Hindrance::NothingTried => (PartKind::Wait, UntriedOutcome::NothingTried),
            Hindrance::Connect(_) | Hindrance::Socket(_) => {
                (PartKind::Connect, UntriedOutcome::NotSent)
            }
        };
        let address = untried.server.map(|(address, _)| address.to_string());
        let part = Part {
            kind,
            start_ns: Nanos(0),
            duration_ns: duration,
            outcome: PartOutcome::Untried(outcome),
            name: address.as_deref().map(Text::from),
            record_type: None,
            requests: None,
            tcp: None,
            address: None,
            error_code: None,
            connection_id: None,
            loser: None,
            proxied: None,
            partner: None,
        };
        let attempt = Attempt {
            id: id(untried),
            start: self.shared.config.wall(untried.from),
            duration_ns: duration,
            outcome: Outcome::Unknown,
            target: Target {
                port: untried.server.map(|(_, port)| port),
                ..Target::default()
            },
            connections: 0,
            parts: vec![part],
            incident: None,
            unexplained_ns: Nanos(0),
            recovers: None,
            diagnosis: ranked_of_untried(untried),
        };
        let body = Body::Attempt(AttemptRecord {
            client: AttemptClient { address: None },
            process: Some(untried.process.clone()),
            attempt,
        });
        self.tell(untried.to, body);
    }
}

/// The name of an attempt without packets.
fn id(untried: &Untried) -> AttemptId {
    let mut hash = Sha1::new();
    hash.update(untried.process.pid.to_be_bytes());
    hash.update(untried.from.to_be_bytes());
    hash.update(format!("{:?}{:?}", untried.hindrance, untried.server));
    let digest = <[u8; 20]>::from(hash.finalize());
    AttemptId(u64::from_be_bytes(
        digest.first_chunk().copied().unwrap_or_default(),
    ))
}
