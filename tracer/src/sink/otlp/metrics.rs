//! What is counted and measured, told at an interval: since the agent began, so that the next message says all that one
//! which did not arrive would have.

use std::{
    collections::HashMap,
    hash::BuildHasher as _,
    sync::Arc,
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    LabelPair, MetricFamily,
};

use super::points::{self, Moments};
use crate::{
    record::Timestamp,
    sink::{figures::Figures, shared::now},
};

/// Series in one message, at most: receivers take no more than some megabytes.
const POINTS: usize = 1_000;

/// See the module.
pub(super) struct Meter {
    interval: Option<Duration>,
    figures: Option<Arc<dyn Figures>>,
    due: Option<Instant>,
    /// Since when each series counts, by the hash of its name and labels.
    since: HashMap<u64, Timestamp, RandomState>,
    /// When they were told last.
    last: Option<Timestamp>,
    hashes: RandomState,
}

impl Meter {
    pub(super) fn new(interval: Option<Duration>) -> Self {
        Self {
            interval,
            figures: None,
            due: None,
            since: HashMap::default(),
            last: None,
            hashes: RandomState::default(),
        }
    }

    /// From now on they are to be had from there.
    pub(super) fn begin(&mut self, figures: Option<Arc<dyn Figures>>) {
        self.figures = figures;
        self.next();
    }

    /// When they are to be told.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    fn next(&mut self) {
        let interval = self.interval.filter(|_| self.figures.is_some());
        self.due = interval.map(|interval| Instant::now() + interval);
    }

    /// What is told now: one message for each.
    pub(super) fn requests(&mut self) -> Vec<Vec<Metric>> {
        self.next();
        let Some(figures) = &self.figures else {
            return Vec::new();
        };
        let families = figures.families();
        let (now, first) = (now(), figures.since());
        self.requests_of(&families, first, now)
    }

    fn requests_of(
        &mut self,
        families: &[MetricFamily],
        first: Timestamp,
        now: Timestamp,
    ) -> Vec<Vec<Metric>> {
        // What was not there the last time has begun since.
        let fresh = self.last.unwrap_or(first);
        let mut since = HashMap::default();
        let mut moments = |name: &str, labels: &[LabelPair]| {
            let pairs = labels.iter().map(|pair| (&pair.name, &pair.value));
            let key = self.hashes.hash_one((name, pairs.collect::<Vec<_>>()));
            let start = self.since.get(&key).copied().unwrap_or(fresh);
            since.insert(key, start);
            Moments { start, now }
        };
        let mut requests = Vec::new();
        let mut request = Vec::new();
        let mut points = 0;
        for family in families {
            for some in family.metric.chunks(POINTS) {
                if points + some.len() > POINTS {
                    requests.push(std::mem::take(&mut request));
                    points = 0;
                }
                if let Some(metric) = points::metric(family, some, &mut moments) {
                    points += some.len();
                    request.push(metric);
                }
            }
        }
        requests.push(request);
        requests.retain(|request| !request.is_empty());
        self.since = since;
        self.last = Some(now);
        requests
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
        Counter, Metric as Told,
    };

    use super::*;

    fn count(server: usize) -> Told {
        Told {
            label: vec![LabelPair {
                name: "server".to_owned(),
                value: server.to_string(),
            }],
            counter: Some(Counter {
                value: 1.0,
                ..Counter::default()
            }),
            ..Told::default()
        }
    }

    fn logins(servers: std::ops::Range<usize>) -> MetricFamily {
        MetricFamily {
            name: "tds_logins_total".to_owned(),
            metric: servers.map(count).collect(),
            ..MetricFamily::default()
        }
    }

    fn starts(requests: &[Vec<Metric>]) -> Vec<u64> {
        let metrics = requests.iter().flatten();
        let points = metrics.flat_map(|metric| match &metric.data {
            Some(Data::Sum(sum)) => sum.data_points.clone(),
            _ => Vec::new(),
        });
        points.map(|point| point.start_time_unix_nano).collect()
    }

    #[test]
    fn a_series_begins_when_it_was_not_there_yet_also_where_it_was_given_up_before() {
        let mut meter = Meter::new(None);
        let mut told = |servers, now| {
            starts(&meter.requests_of(&[logins(servers)], Timestamp(1), Timestamp(now)))
        };
        assert_eq!(told(0..1, 10), [1]);
        assert_eq!(told(0..2, 20), [1, 10]);
        assert_eq!(told(1..2, 30), [10]);
        assert_eq!(told(0..2, 40), [30, 10]);
    }

    #[test]
    fn a_message_has_a_bounded_number_of_series() {
        let mut meter = Meter::new(None);
        let families = [logins(0..POINTS + 1), logins(0..POINTS / 2)];
        let requests = meter.requests_of(&families, Timestamp(1), Timestamp(2));
        let sizes: Vec<_> = requests
            .iter()
            .map(|request| starts(std::slice::from_ref(request)).len())
            .collect();
        assert_eq!(sizes, [POINTS, 1 + POINTS / 2]);
    }
}
