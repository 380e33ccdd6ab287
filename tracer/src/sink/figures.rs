//! What is counted and measured, as a sink that tells it sees it.

use std::fmt::Debug;

use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::MetricFamily;

use crate::record::Timestamp;

/// What is counted and measured so far: told at an interval, by sinks that can.
pub trait Figures: Debug + Send + Sync {
    /// All of it at this moment, in Prometheus' own form. Counts and histograms run since the agent began.
    fn families(&self) -> Vec<MetricFamily>;

    /// When the agent began to count.
    fn since(&self) -> Timestamp;
}
