//! A line as a log record: its name, severity and time, and all else as attributes by the semantic conventions.

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::Value;

use super::{spans::Place, values};
use crate::{record::otel, sink::Line};

/// The record; where its span is known it says so.
pub(super) fn record(line: &Line, value: Value, place: Option<&Place>) -> LogRecord {
    let mut renamed = otel::rename(value);
    let mut record = LogRecord {
        time_unix_nano: line.at.0,
        observed_time_unix_nano: line.at.0,
        ..LogRecord::default()
    };
    if let Some(place) = place {
        record.trace_id = place.trace.to_vec();
        record.span_id = place.span.to_vec();
    }
    let Some(fields) = renamed.as_object_mut() else {
        return record;
    };
    let mut text = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => text,
        _ => String::new(),
    };
    // The resource has the host, and the record its time.
    drop((text("host.name"), text("timestamp")));
    record.event_name = text("event_name");
    record.severity_text = text("severity_text");
    let number = fields.remove("severity_number");
    let number = number.and_then(|number| number.as_i64());
    record.severity_number = number
        .and_then(|number| number.try_into().ok())
        .unwrap_or(0);
    record.attributes = values::attributes(fields);
    record
}

#[cfg(test)]
mod tests {
    use super::record;
    use crate::{
        record::{Event, Severity, Timestamp, samples},
        sink::Line,
    };

    #[test]
    fn a_login_that_failed_is_an_error_with_its_number() {
        let value = samples::value(&samples::failed());
        let line = Line {
            event: Event::Login,
            severity: Severity::Error,
            at: Timestamp(5),
            bytes: Vec::new(),
        };
        let record = record(&line, value, None);
        assert_eq!(record.event_name, "tds_tracer.login");
        assert_eq!(
            (record.severity_number, record.severity_text.as_str()),
            (17, "ERROR")
        );
        let names: Vec<_> = record
            .attributes
            .iter()
            .map(|one| one.key.as_str())
            .collect();
        for name in [
            "error.type",
            "server.address",
            "tds_tracer.line",
            "tds_tracer.run_id",
        ] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        for name in ["host.name", "timestamp", "severity_number"] {
            assert!(!names.contains(&name), "{name} in {names:?}");
        }
    }
}
