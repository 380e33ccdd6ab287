//! How the agent does, for its `status` line and for whoever asks for metrics.

use std::collections::BTreeMap;

use super::{
    status::{Moment, processor, resident},
    watcher::{Watcher, wall},
};
use crate::{
    metrics::Health,
    record::{SinkStatus, Text},
};

impl Watcher {
    /// Tells how the agent does to whoever asks for metrics.
    pub(super) fn measure(&mut self) {
        let sinks = self.sinks();
        let Some(metrics) = &mut self.records.metrics else {
            return;
        };
        metrics.health(&Health {
            now: wall(&mut self.probe),
            sinks,
            kernel: self.probe.in_kernel(),
            connections_most: self.options.max_flows.into(),
            connections: self.engine.standing(),
            events: self.records.tally.events_in_all(),
            learned_ports: self.ports.learned(),
            output: self.records.output.progress(),
            memory: resident().map(|bytes| bytes.0),
            processor: processor(),
        });
    }

    /// Tells how it does, once a minute.
    pub(super) fn status(&mut self) {
        let now = self.probe.now();
        self.ports.age(now, || self.engine.open());
        self.learn();
        let moment = Moment {
            now: wall(&mut self.probe),
            connections: self.engine.standing(),
            learned_ports: self.ports.learned(),
            memory: resident(),
            sinks: self.sinks(),
        };
        if let Some(metrics) = &mut self.records.metrics {
            metrics.minute();
        }
        let status = self.records.tally.status(moment);
        self.say(status);
    }

    /// How each sink does, where any is configured.
    fn sinks(&self) -> BTreeMap<Text, SinkStatus> {
        if self.options.has_sinks {
            self.records.output.status()
        } else {
            BTreeMap::new()
        }
    }
}
