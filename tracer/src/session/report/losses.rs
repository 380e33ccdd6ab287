//! What was not seen, or not said, until it is told.

use std::collections::BTreeMap;

use super::strangers::{Limit, Limits};
use crate::{
    record::{Body, Count, Loss, LossReason, LossRecord, Record, Stranger},
    session::input::{Config, Listener},
};

/// Losses that have not been told.
#[derive(Debug, Default)]
pub(in crate::session) struct Losses {
    counts: BTreeMap<(LossReason, Option<Stranger>), u64>,
    /// When each was last told.
    told: BTreeMap<(LossReason, Option<Stranger>), u64>,
    /// When somebody first asked.
    start: Option<u64>,
    strangers: Limits,
    ends: Limit,
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

    /// Whether the end of a connection of which nothing else was seen may be told; counts it where it
    /// may not.
    pub(in crate::session) fn allow_end(&mut self, now: u64) -> bool {
        let allowed = self.ends.allow(now);
        if !allowed {
            self.add(LossReason::ConnectionUntold, 1);
        }
        allowed
    }

    /// Tells them.
    pub(in crate::session) fn tell(
        &mut self,
        now: u64,
        config: &Config,
        listener: &mut dyn Listener,
    ) {
        let start = *self.start.get_or_insert(now);
        for ((reason, stranger), count) in std::mem::take(&mut self.counts) {
            let since = self.told.insert((reason, stranger), now).unwrap_or(start);
            listener.record(Record {
                timestamp: config.wall(now),
                body: Body::Loss(LossRecord {
                    loss: Loss {
                        reason,
                        stranger,
                        count: Count(count),
                        events: BTreeMap::new(),
                        since: config.wall(since),
                    },
                }),
            });
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::session::input::Decided;

    #[derive(Default)]
    struct Since(Vec<(LossReason, u64)>);

    impl Listener for Since {
        fn record(&mut self, record: Record) {
            if let Body::Loss(LossRecord { loss }) = record.body {
                self.0.push((loss.reason, loss.since.0));
            }
        }

        fn decided(&mut self, _: Decided) {}
    }

    #[test]
    fn a_loss_is_counted_since_the_last_report_of_its_own_reason() {
        let (mut losses, mut heard) = (Losses::default(), Since::default());
        let config = Config::default();
        losses.tell(10, &config, &mut heard);
        losses.add(LossReason::RingFull, 1);
        losses.tell(20, &config, &mut heard);
        losses.add(LossReason::Fragment, 1);
        losses.add(LossReason::RingFull, 1);
        losses.tell(30, &config, &mut heard);
        let expected = [
            (LossReason::RingFull, 10),
            (LossReason::RingFull, 20),
            (LossReason::Fragment, 10),
        ];
        assert_eq!(heard.0, expected);
    }
}
