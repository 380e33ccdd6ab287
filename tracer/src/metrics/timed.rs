//! How long something takes, and where examples of that are told in whole.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use prometheus_client::{
    encoding::{
        EncodeMetric, MetricEncoder,
        prometheus_protobuf::prometheus_data_model::{Exemplar, LabelPair},
    },
    metrics::{
        MetricType, TypedMetric,
        histogram::{Histogram, NativeHistogramConfig},
    },
};

use crate::record::{
    Nanos, Timestamp,
    trace::{SpanId, TraceId},
};

/// Upper bounds, seconds: from a login on the same host to the timeouts that drivers come with, 15 s and
/// 30 s.
const BOUNDS: [f64; 17] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0,
    60.0,
];
/// Buckets of a native histogram at most; it gets coarser rather than have more.
const NATIVE: usize = 160;
/// Of what took at most so many seconds, and of what took longer, the newest example is kept.
const EXAMPLES: [f64; 3] = [0.01, 0.1, 1.0];

/// A span in which something is told that took so long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Example {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
    /// When it was over.
    pub(super) at: Timestamp,
}

/// A histogram with both kinds of buckets (which of them is told is up to whoever asks), and a few examples.
#[derive(Clone, Debug)]
pub(super) struct Timed {
    histogram: Histogram,
    examples: Arc<Mutex<Kept>>,
}

/// The newest example of each order of magnitude, with the seconds that it took.
type Kept = [Option<(f64, Example)>; EXAMPLES.len() + 1];

impl Timed {
    /// Nothing was measured yet.
    pub(super) fn new() -> Self {
        let native = NativeHistogramConfig::default().max_buckets(NATIVE);
        Self {
            histogram: Histogram::new_classic_and_native(BOUNDS, native),
            examples: Arc::default(),
        }
    }

    /// Something took so long; there it is told.
    pub(super) fn observe(&self, time: Nanos, example: Example) {
        let seconds = Duration::from_nanos(time.0).as_secs_f64();
        self.histogram.observe(seconds);
        let place = EXAMPLES.partition_point(|bound| *bound < seconds);
        let mut examples = self.examples.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = examples.get_mut(place) {
            *kept = Some((seconds, example));
        }
    }

    /// Examples, in the form that Prometheus has.
    pub(super) fn exemplars(&self) -> Vec<Exemplar> {
        let examples = self.examples.lock().unwrap_or_else(PoisonError::into_inner);
        examples.iter().flatten().map(exemplar).collect()
    }
}

fn exemplar((seconds, example): &(f64, Example)) -> Exemplar {
    let pair = |name: &str, value: String| LabelPair {
        name: name.to_owned(),
        value,
    };
    let trace = u128::from_be_bytes(example.trace);
    let span = u64::from_be_bytes(example.span);
    let at = UNIX_EPOCH + Duration::from_nanos(example.at.0);
    Exemplar {
        label: vec![
            pair("trace_id", format!("{trace:032x}")),
            pair("span_id", format!("{span:016x}")),
        ],
        value: *seconds,
        timestamp: Some(at.into()),
    }
}

impl TypedMetric for Timed {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Timed {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.histogram.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_example_of_each_order_of_magnitude_is_kept() {
        let timed = Timed::new();
        let example = |number: u8| Example {
            trace: [number; 16],
            span: [number; 8],
            at: Timestamp(1_500_000_000),
        };
        for (number, nanoseconds) in [(1, 5_000_000), (2, 6_000_000), (3, 15_000_000_000)] {
            timed.observe(Nanos(nanoseconds), example(number));
        }
        let told = timed.exemplars();
        let traces: Vec<_> = told.iter().map(|one| one.label[0].value.as_str()).collect();
        assert_eq!(traces, ["02".repeat(16), "03".repeat(16)]);
        assert!((told[1].value - 15.0).abs() < 1e-9);
        let at = told[0].timestamp.expect("a time");
        assert_eq!((at.seconds, at.nanos), (1, 500_000_000));
    }
}
