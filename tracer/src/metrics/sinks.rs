//! What became of records at each sink.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::{
    advance,
    labels::{OfSink, OfSinkLoss},
    series::Series,
};
use crate::record::{SinkStatus, Text, Timestamp};

/// See the module.
#[derive(Debug)]
pub(super) struct Sinks {
    records: Series<OfSink, Counter>,
    lost: Series<OfSinkLoss, Counter>,
    errors: Series<OfSink, Counter>,
    waiting: Series<OfSink, Gauge>,
    spool_bytes: Series<OfSink, Gauge>,
    spool_age: Series<OfSink, Gauge>,
}

impl Sinks {
    /// None yet; the registry tells them from now on.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let sinks = Self {
            records: Series::new(Counter::default),
            lost: Series::new(Counter::default),
            errors: Series::new(Counter::default),
            waiting: Series::new(Gauge::default),
            spool_bytes: Series::new(Gauge::default),
            spool_age: Series::new(Gauge::default),
        };
        for (series, name, help) in [
            (
                &sinks.records,
                "tds_tracer_sink_records",
                "Records that a sink has written, handed over, or put into its spool",
            ),
            (
                &sinks.errors,
                "tds_tracer_sink_errors",
                "Tries of a sink to hand something over that failed",
            ),
        ] {
            series.register(registry, name, help);
        }
        sinks.lost.register(
            registry,
            "tds_tracer_sink_lost",
            "Records that a sink has lost, by the reason that its loss lines give",
        );
        sinks.waiting.register(
            registry,
            "tds_tracer_sink_waiting",
            "Records that wait for a sink in memory",
        );
        sinks.spool_bytes.register_bytes(
            registry,
            "tds_tracer_sink_spool",
            "What lies in a sink's spool and its receiver has not acknowledged",
        );
        sinks.spool_age.register_seconds(
            registry,
            "tds_tracer_sink_spool_age",
            "How old the oldest record is that a sink's receiver has not acknowledged",
        );
        sinks
    }

    /// Takes over how a sink does at this moment.
    pub(super) fn status(&mut self, name: &Text, status: &SinkStatus, now: Timestamp) {
        let sink = || OfSink {
            sink: name.to_string(),
        };
        self.records
            .with(sink(), |counter| advance(counter, status.written.0));
        let errors = status.errors.unwrap_or_default();
        self.errors
            .with(sink(), |counter| advance(counter, errors.0));
        for (reason, count) in &status.losses {
            let labels = OfSinkLoss {
                sink: name.to_string(),
                reason: reason.as_str().to_owned(),
            };
            self.lost.with(labels, |counter| advance(counter, count.0));
        }
        self.waiting.with(sink(), |gauge| {
            gauge.set(status.waiting.0.cast_signed());
        });
        let Some(bytes) = status.spool_bytes else {
            return;
        };
        self.spool_bytes.with(sink(), |gauge| {
            gauge.set(bytes.0.cast_signed());
        });
        let since = status.spool_since.unwrap_or(now);
        let age = now.0.saturating_sub(since.0) / 1_000_000_000;
        self.spool_age
            .with(sink(), |gauge| gauge.set(age.cast_signed()));
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text;

    use super::*;
    use crate::record::{Count, LossReason};

    #[test]
    fn each_sink_says_what_it_wrote_lost_and_keeps() {
        let mut registry = Registry::default();
        let mut sinks = Sinks::new(&mut registry);
        let second = 1_000_000_000;
        let status = SinkStatus {
            written: Count(7),
            losses: [(LossReason::SpoolFull, Count(2))].into(),
            errors: Some(Count(3)),
            spool_bytes: Some(Count(4096)),
            spool_since: Some(Timestamp(second)),
            ..SinkStatus::default()
        };
        for _ in 0..2 {
            sinks.status(&"otlp".into(), &status, Timestamp(91 * second));
        }
        let near = SinkStatus::default();
        sinks.status(&"file".into(), &near, Timestamp(91 * second));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry).expect("text");
        for line in [
            "tds_tracer_sink_records_total{sink=\"otlp\"} 7",
            "tds_tracer_sink_lost_total{sink=\"otlp\",reason=\"spool_full\"} 2",
            "tds_tracer_sink_errors_total{sink=\"otlp\"} 3",
            "tds_tracer_sink_waiting{sink=\"file\"} 0",
            "tds_tracer_sink_spool_bytes{sink=\"otlp\"} 4096",
            "tds_tracer_sink_spool_age_seconds{sink=\"otlp\"} 90",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} in {text}");
        }
        assert!(!text.contains("spool_bytes{sink=\"file\""), "it has none");
    }
}
