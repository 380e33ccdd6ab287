//! What was not seen, or not said, until it is told.

use std::collections::BTreeMap;

use super::strangers::Limits;
use crate::{
    record::{Body, Count, Loss, LossReason, LossRecord, Record, Stranger},
    session::input::{Config, Listener},
};

/// Losses that have not been told.
#[derive(Debug, Default)]
pub(in crate::session) struct Losses {
    counts: BTreeMap<(LossReason, Option<Stranger>), u64>,
    /// When losses were last told.
    told: Option<u64>,
    strangers: Limits,
}

impl Losses {
    pub(in crate::session) fn add(&mut self, reason: LossReason, count: u64) {
        *self.counts.entry((reason, None)).or_default() += count;
    }

    /// Whether a stranger's connection that ends now may be told; counts it where it may not.
    pub(in crate::session) fn allow(&mut self, kind: Stranger, now: u64) -> bool {
        let allowed = self.strangers.allow(kind, now);
        if !allowed {
            let suppressed = (LossReason::StrangerSuppressed, Some(kind));
            *self.counts.entry(suppressed).or_default() += 1;
        }
        allowed
    }

    /// Tells them.
    pub(in crate::session) fn tell(&mut self, now: u64, config: &Config, listener: &mut dyn Listener) {
        let since = *self.told.get_or_insert(now);
        if self.counts.is_empty() {
            return;
        }
        for ((reason, stranger), count) in std::mem::take(&mut self.counts) {
            listener.record(Record {
                timestamp: config.wall(now),
                body: Body::Loss(LossRecord {
                    loss: Loss {
                        reason,
                        stranger,
                        count: Count(count),
                        since: config.wall(since),
                    },
                }),
            });
        }
        self.told = Some(now);
    }
}
