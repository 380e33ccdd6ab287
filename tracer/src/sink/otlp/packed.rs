//! Messages in their bytes, of which a log record and a span share what they have in common.
//!
//! Protocol buffers take a message's fields in any order, and those that repeat in any place: so what `prost` writes of a
//! message is followed by attributes that were written before. All three signals are laid out alike: a request has its
//! resource and scopes in field 1, a resource its description in field 1 and its scopes in field 2, a scope likewise its
//! records, spans or metrics.

use prost::{Message, encode_length_delimiter, length_delimiter_len};
use serde_json::Value;

use super::values;

/// The fields of a `KeyValue`.
const KEY: u8 = 1;
const VALUE: u8 = 2;
/// Where a request has its resource, and that, as a scope, what describes it.
const FIRST: u8 = 1;
/// Where a resource has its scope, and a scope its items.
const BELOW: u8 = 2;

/// Attributes, each with its length before it.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Attributes {
    /// Adds one.
    pub(super) fn put(&mut self, name: &str, value: &Value) {
        let Some(value) = values::any(value) else {
            return;
        };
        let length = value.encoded_len();
        length_of(size(name.len()) + size(length), &mut self.bytes);
        field(KEY, name.len(), &mut self.bytes);
        self.bytes.extend_from_slice(name.as_bytes());
        field(VALUE, length, &mut self.bytes);
        write(&value, &mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Bytes that [`Self::write`] writes.
    fn len(&self) -> usize {
        self.bytes.len() + self.ends.len()
    }

    /// Writes them as a message's field of this number.
    fn write(&self, number: u8, out: &mut Vec<u8>) {
        let mut from = 0;
        for end in &self.ends {
            out.push(key(number));
            out.extend_from_slice(&self.bytes[from..*end]);
            from = *end;
        }
    }
}

/// Log records, spans or metrics of one request.
#[derive(Debug, Default)]
pub(super) struct Items(Vec<u8>);

impl Items {
    /// Adds one that is whole.
    pub(super) fn push(&mut self, item: &impl Message) {
        self.push_with(item, 0, &[]);
    }

    /// Adds one whose field of this number has these besides.
    pub(super) fn push_with(
        &mut self,
        item: &impl Message,
        number: u8,
        attributes: &[&Attributes],
    ) {
        let more: usize = attributes.iter().map(|attributes| attributes.len()).sum();
        field(BELOW, item.encoded_len() + more, &mut self.0);
        write(item, &mut self.0);
        for attributes in attributes {
            attributes.write(number, &mut self.0);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What all requests begin with: who says it, and by what.
#[derive(Debug)]
pub(super) struct Envelope {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Envelope {
    pub(super) fn new(resource: &impl Message, scope: &impl Message) -> Self {
        let first = |message: &[u8]| {
            let mut bytes = Vec::new();
            field(FIRST, message.len(), &mut bytes);
            bytes.extend_from_slice(message);
            bytes
        };
        Self {
            resource: first(&resource.encode_to_vec()),
            scope: first(&scope.encode_to_vec()),
        }
    }

    /// The request with these.
    pub(super) fn request(&self, items: &Items) -> Vec<u8> {
        let scope = self.scope.len() + items.0.len();
        let resource = self.resource.len() + size(scope);
        let mut request = Vec::with_capacity(size(resource));
        field(FIRST, resource, &mut request);
        request.extend_from_slice(&self.resource);
        field(BELOW, scope, &mut request);
        request.extend_from_slice(&self.scope);
        request.extend_from_slice(&items.0);
        request
    }
}

/// What stands before a field with a length: its number and that.
const fn key(number: u8) -> u8 {
    number << 3 | 2
}

/// Begins a field of so many bytes.
fn field(number: u8, length: usize, out: &mut Vec<u8>) {
    out.push(key(number));
    length_of(length, out);
}

/// Bytes of a field whose content has so many.
fn size(length: usize) -> usize {
    1 + length_delimiter_len(length) + length
}

fn length_of(length: usize, out: &mut Vec<u8>) {
    let written = encode_length_delimiter(length, out);
    debug_assert!(written.is_ok(), "a vector has room for all of it");
}

fn write(message: &impl Message, out: &mut Vec<u8>) {
    let written = message.encode(out);
    debug_assert!(written.is_ok(), "likewise");
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        collector::logs::v1::ExportLogsServiceRequest,
        common::v1::InstrumentationScope,
        logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
        resource::v1::Resource,
    };
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_what_prost_would_have_read_whatever_is_in_it() {
        let values = json!({
            "text": "é\"", "none": "", "long": "x".repeat(300), "whole": -1, "large": u64::MAX, "part": 0.5,
            "yes": true, "list": ["a", 1], "of": {"a": {"b": 2}}, "nothing": null,
        });
        let mut attributes = Attributes::default();
        for (name, value) in values.as_object().expect("an object") {
            attributes.put(name, value);
        }
        let mut record = LogRecord {
            event_name: "tds_tracer.login".to_owned(),
            ..LogRecord::default()
        };
        let resource = Resource {
            attributes: vec![values::attribute("service.name", &json!("tds-tracer"))],
            ..Resource::default()
        };
        let scope = InstrumentationScope {
            name: "tds-tracer".to_owned(),
            ..InstrumentationScope::default()
        };
        let mut items = Items::default();
        items.push(&record);
        items.push_with(&record, 6, &[&attributes, &attributes]);
        let request = Envelope::new(&resource, &scope).request(&items);
        let plain = record.clone();
        let fields = values.as_object().expect("an object").iter();
        let fields = fields.filter(|(_, value)| !value.is_null());
        record.attributes = fields
            .map(|(name, value)| values::attribute(name, value))
            .collect();
        record.attributes.extend(record.attributes.clone());
        let expected = ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(resource),
                scope_logs: vec![ScopeLogs {
                    scope: Some(scope),
                    log_records: vec![plain, record],
                    schema_url: String::new(),
                }],
                schema_url: String::new(),
            }],
        };
        let read = ExportLogsServiceRequest::decode(&request[..]).expect("a request");
        assert_eq!(read, expected);
    }
}
