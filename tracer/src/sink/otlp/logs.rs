//! A line as a log record: its name, severity and time, and all else as attributes by the semantic conventions.

use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::{described::Described, packed::Items, spans::Place};
use crate::sink::Line;

/// The field of a log record that has its attributes.
const ATTRIBUTES: u8 = 6;

/// Adds the record; where its span is known it says so.
pub(super) fn add(line: &Line, described: &Described, place: Option<&Place>, into: &mut Items) {
    let mut record = LogRecord {
        time_unix_nano: line.at.0,
        observed_time_unix_nano: line.at.0,
        event_name: described.event_name.clone(),
        severity_number: described.severity_number,
        severity_text: described.severity_text.clone(),
        ..LogRecord::default()
    };
    if let Some(place) = place {
        record.trace_id = place.trace.to_vec();
        record.span_id = place.span.to_vec();
    }
    let attributes = [&described.attributes, &described.parts];
    into.push_with(&record, ATTRIBUTES, &attributes);
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::logs::v1::ScopeLogs;
    use prost::Message as _;

    use super::{Described, Items, add};
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
        let mut described = Described::default();
        described.set(&value);
        let mut items = Items::default();
        add(&line, &described, None, &mut items);
        // A scope with nothing but these is these.
        let scope = ScopeLogs::decode(items.bytes()).expect("records");
        let [record] = &scope.log_records[..] else {
            panic!("one record")
        };
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
