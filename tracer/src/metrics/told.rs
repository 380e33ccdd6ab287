//! What is told, whoever asks for it.

use std::fmt;

use prometheus_client::{
    encoding::prometheus_protobuf::{
        self,
        prometheus_data_model::{Exemplar, LabelPair, MetricFamily},
    },
    registry::Registry,
};

use super::{
    series::{Labels, Series},
    timed::Timed,
};
use crate::{record::Timestamp, sink::Figures};

/// The examples of a histogram with these labels.
type Examples = Box<dyn Fn(&[LabelPair]) -> Vec<Exemplar> + Send + Sync>;

/// All that is registered, and examples of it.
pub(super) struct Told {
    since: Timestamp,
    pub(super) registry: Registry,
    /// By the names of histograms.
    examples: Vec<(String, Examples)>,
}

impl Told {
    /// Nothing is registered yet; what is counted is counted since then.
    pub(super) fn new(since: Timestamp) -> Self {
        Self {
            since,
            registry: Registry::default(),
            examples: Vec::new(),
        }
    }

    /// From now on these are told, in seconds, with examples.
    pub(super) fn seconds<L: Labels>(&mut self, series: &Series<L, Timed>, name: &str, help: &str) {
        series.register_seconds(&mut self.registry, name, help);
        let find = series.finder();
        let examples: Examples =
            Box::new(move |pairs| find(pairs).map_or_else(Vec::new, |timed| timed.exemplars()));
        self.examples.push((format!("{name}_seconds"), examples));
    }
}

impl Figures for Told {
    fn families(&self) -> Vec<MetricFamily> {
        // It fails for nothing that is registered here.
        let mut families = prometheus_protobuf::encode(&self.registry).unwrap_or_default();
        for family in &mut families {
            let examples = self.examples.iter().find(|(name, _)| *name == family.name);
            let Some((_, examples)) = examples else {
                continue;
            };
            for metric in &mut family.metric {
                if let Some(histogram) = &mut metric.histogram {
                    histogram.exemplars = examples(&metric.label);
                }
            }
        }
        families
    }

    fn since(&self) -> Timestamp {
        self.since
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").finish_non_exhaustive()
    }
}
