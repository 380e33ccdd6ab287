//! Prometheus' metrics in OpenTelemetry's form: native histograms as exponential ones, whose buckets have the same
//! bounds, with their examples; names and attributes as the semantic conventions, or the lines in OpenTelemetry's names,
//! have them.

use std::net::SocketAddr;

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint,
        Gauge, Metric, NumberDataPoint, Sum, exemplar, exponential_histogram_data_point::Buckets,
        metric::Data, number_data_point,
    },
};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    self as prometheus, LabelPair, MetricFamily, MetricType,
};
use serde_json::Value;

use super::values;
use crate::record::Timestamp;

/// Buckets of a histogram at most, as OpenTelemetry's SDKs have it: it gets coarser rather than have more.
const BUCKETS: usize = 160;

/// Since when a series counts, and when it is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moments {
    pub(super) start: Timestamp,
    pub(super) now: Timestamp,
}

/// Some series of a family; none where the resource or the points' times say the same.
pub(super) fn metric(
    family: &MetricFamily,
    series: &[prometheus::Metric],
    mut moments: impl FnMut(&str, &[LabelPair]) -> Moments,
) -> Option<Metric> {
    let (name, unit) = named(family)?;
    let points = series.iter().map(|one| {
        let moments = moments(&family.name, &one.label);
        (one, moments, attributes(&family.name, &one.label))
    });
    let cumulative = AggregationTemporality::Cumulative.into();
    let data = match MetricType::try_from(family.r#type).ok()? {
        MetricType::Counter => Data::Sum(Sum {
            data_points: points
                .filter_map(|(one, moments, attributes)| {
                    Some(number(one.counter.as_ref()?.value, moments, attributes))
                })
                .collect(),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        MetricType::Gauge => Data::Gauge(Gauge {
            data_points: points
                .filter_map(|(one, moments, attributes)| {
                    Some(number(one.gauge.as_ref()?.value, moments, attributes))
                })
                .collect(),
        }),
        MetricType::Histogram => Data::ExponentialHistogram(ExponentialHistogram {
            data_points: points
                .filter_map(|(one, moments, attributes)| {
                    Some(histogram(one.histogram.as_ref()?, moments, attributes))
                })
                .collect(),
            aggregation_temporality: cumulative,
        }),
        MetricType::Summary | MetricType::Untyped | MetricType::GaugeHistogram => return None,
    };
    Some(Metric {
        name,
        description: family.help.clone(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    })
}

/// Name and unit. A collector that turns them into Prometheus' names again gets the endpoint's.
fn named(family: &MetricFamily) -> Option<(String, &'static str)> {
    let unit = match family.unit.as_str() {
        "seconds" => "s",
        "bytes" => "By",
        _ => "",
    };
    let bare = family.name.strip_suffix("_total").unwrap_or(&family.name);
    let with_unit = format!("_{}", family.unit);
    let bare = bare.strip_suffix(&with_unit).unwrap_or(bare);
    let name = match bare {
        "process_cpu" => "process.cpu.time".to_owned(),
        "process_resident_memory" => "process.memory.usage".to_owned(),
        "process_start_time" | "tds_tracer_build_info" => return None,
        _ => match bare.strip_prefix("tds_tracer_") {
            Some(own) => format!("tds_tracer.{own}"),
            None => bare.replace('_', "."),
        },
    };
    Some((name, unit))
}

/// Labels by the names that the same values have in log records; what is not known has none.
fn attributes(family: &str, labels: &[LabelPair]) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    let mut put = |name: &str, value: Value| attributes.push(values::attribute(name, &value));
    for LabelPair { name, value } in labels.iter().filter(|label| !label.value.is_empty()) {
        let told = match name.as_str() {
            "server" => {
                let address: Result<SocketAddr, _> = value.parse();
                match address {
                    Ok(address) => {
                        put("server.address", address.ip().to_string().into());
                        put("server.port", address.port().into());
                    }
                    Err(_) => put("server.address", value.as_str().into()),
                }
                continue;
            }
            "error" => "db.response.status_code",
            "outcome" if family.starts_with("tds_attempt") => "tds_tracer.attempt.outcome",
            "outcome" if family.starts_with("tds_lookups") => "tds_tracer.lookup.outcome",
            "outcome" => "tds_tracer.login.outcome",
            "cause" if family.starts_with("tds_incidents") => "tds_tracer.incident.cause",
            "encryption" => "tds_tracer.tds.encryption",
            "auth" => "tds_tracer.auth.kind",
            "by" => "tds_tracer.close.by",
            "how" => "tds_tracer.close.how",
            "class" => "tds_tracer.close.class",
            "kind" => "tds_tracer.request.kind",
            other => &format!("tds_tracer.{other}"),
        };
        put(told, value.as_str().into());
    }
    attributes
}

fn number(value: f64, moments: Moments, attributes: Vec<KeyValue>) -> NumberDataPoint {
    // Counts are whole.
    let is_whole = value.fract() == 0.0 && value.abs() < 9.0e15;
    let value = if is_whole {
        number_data_point::Value::AsInt(value as i64)
    } else {
        number_data_point::Value::AsDouble(value)
    };
    NumberDataPoint {
        attributes,
        start_time_unix_nano: moments.start.0,
        time_unix_nano: moments.now.0,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn histogram(
    told: &prometheus::Histogram,
    moments: Moments,
    attributes: Vec<KeyValue>,
) -> ExponentialHistogramDataPoint {
    let (scale, positive) = buckets(told);
    ExponentialHistogramDataPoint {
        attributes,
        start_time_unix_nano: moments.start.0,
        time_unix_nano: moments.now.0,
        count: told.sample_count,
        sum: Some(told.sample_sum),
        scale,
        zero_count: told.zero_count,
        zero_threshold: told.zero_threshold,
        positive: Some(positive),
        exemplars: told.exemplars.iter().filter_map(example).collect(),
        ..ExponentialHistogramDataPoint::default()
    }
}

/// The scale, and how many there are in each bucket. Prometheus counts buckets by their upper bounds, OpenTelemetry by
/// their lower ones: the same bucket's number is one less.
fn buckets(told: &prometheus::Histogram) -> (i32, Buckets) {
    let mut all: Vec<(i32, u64)> = Vec::new();
    let (mut index, mut count) = (0_i32, 0_i64);
    let mut deltas = told.positive_delta.iter();
    for span in &told.positive_span {
        index = index.saturating_add(span.offset);
        for _ in 0..span.length {
            count += deltas.next().copied().unwrap_or_default();
            all.push((index - 1, count.max(0).unsigned_abs()));
            index += 1;
        }
    }
    let mut scale = told.schema;
    let Some((&(mut first, _), &(mut last, _))) = all.first().zip(all.last()) else {
        return (scale, Buckets::default());
    };
    while first.abs_diff(last) as usize >= BUCKETS {
        // Two neighbours each become one.
        scale -= 1;
        (first, last) = (first >> 1, last >> 1);
        for (index, _) in &mut all {
            *index >>= 1;
        }
    }
    let mut bucket_counts = vec![0; first.abs_diff(last) as usize + 1];
    for (index, count) in all {
        bucket_counts[first.abs_diff(index) as usize] += count;
    }
    let buckets = Buckets {
        offset: first,
        bucket_counts,
    };
    (scale, buckets)
}

fn example(told: &prometheus::Exemplar) -> Option<Exemplar> {
    let id = |name: &str| {
        let pair = told.label.iter().find(|pair| pair.name == name)?;
        let digits = pair.value.as_bytes().chunks(2);
        digits
            .map(|two| u8::from_str_radix(str::from_utf8(two).ok()?, 16).ok())
            .collect::<Option<Vec<u8>>>()
    };
    let at = told.timestamp.as_ref()?;
    let seconds = u64::try_from(at.seconds).ok()?;
    let nanoseconds = u64::try_from(at.nanos).ok()?;
    Some(Exemplar {
        time_unix_nano: seconds
            .checked_mul(1_000_000_000)?
            .checked_add(nanoseconds)?,
        trace_id: id("trace_id")?,
        span_id: id("span_id")?,
        value: Some(exemplar::Value::AsDouble(told.value)),
        ..Exemplar::default()
    })
}

#[cfg(test)]
mod tests {
    use prometheus_client::{
        encoding::prometheus_protobuf,
        metrics::histogram::{Histogram, NativeHistogramConfig},
        registry::{Registry, Unit},
    };

    use super::*;

    /// What a native histogram of these becomes.
    fn point(observed: &[f64]) -> ExponentialHistogramDataPoint {
        let mut registry = Registry::default();
        let histogram = Histogram::new_native(NativeHistogramConfig::default());
        registry.register_with_unit("tds_login_duration", "X", Unit::Seconds, histogram.clone());
        for value in observed {
            histogram.observe(*value);
        }
        let families = prometheus_protobuf::encode(&registry).expect("families");
        let moments = Moments {
            start: Timestamp(1),
            now: Timestamp(2),
        };
        let metric = metric(&families[0], &families[0].metric, |_, _| moments).expect("a metric");
        assert_eq!(
            (metric.name.as_str(), metric.unit.as_str()),
            ("tds.login.duration", "s")
        );
        match metric.data {
            Some(Data::ExponentialHistogram(histogram)) => histogram.data_points[0].clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Each value's bucket, as OpenTelemetry defines it: above its lower bound, and not above its upper one.
    fn fits(point: &ExponentialHistogramDataPoint, observed: &[f64]) {
        let buckets = point.positive.as_ref().expect("buckets");
        let base = 2_f64.powf(2_f64.powi(-point.scale));
        let mut counts = vec![0; buckets.bucket_counts.len()];
        for value in observed {
            let mut bounds =
                (buckets.offset..).map(|index| (base.powi(index), base.powi(index + 1)));
            let within = |(lower, upper)| *value > lower && *value <= upper;
            let place = bounds.position(within).expect("a bucket");
            counts[place] += 1;
        }
        assert_eq!(counts, buckets.bucket_counts);
        assert_eq!(point.count, observed.len() as u64);
    }

    #[test]
    fn buckets_have_the_bounds_that_they_had() {
        let observed = [0.000_3, 0.001_3, 0.001_31, 0.27, 0.271, 3.3, 14.9];
        fits(&point(&observed), &observed);
        fits(&point(&[0.7]), &[0.7]);
        assert!(point(&[0.0]).zero_count == 1);
    }

    #[test]
    fn what_lies_far_apart_gets_coarser_rather_than_long() {
        let observed = [0.000_000_123, 0.001_3, 3_600.7];
        let point = point(&observed);
        assert!(
            point
                .positive
                .as_ref()
                .expect("buckets")
                .bucket_counts
                .len()
                <= BUCKETS
        );
        fits(&point, &observed);
    }

    #[test]
    fn a_server_is_an_address_and_a_port_and_what_is_unknown_is_left_out() {
        let pair = |name: &str, value: &str| LabelPair {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let labels = [
            pair("server", "[2001:db8::1]:1433"),
            pair("error", ""),
            pair("outcome", "failed"),
        ];
        let told = attributes("tds_logins_total", &labels);
        let names: Vec<_> = told.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(
            names,
            ["server.address", "server.port", "tds_tracer.login.outcome"]
        );
        let names = attributes("tds_attempts_total", &[pair("outcome", "x")]);
        assert_eq!(names[0].key, "tds_tracer.attempt.outcome");
    }
}
