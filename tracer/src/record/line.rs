//! A record as the line that is written: with schema version and host, under 8 KiB.

use std::{fmt, io};

use serde::Serialize;
use serde_json::Value;

use super::{
    Body, Count, Nanos, Record, RunId, Severity, Text, Timestamp, ecs, json, otel, rename::take,
};

/// A line is shorter than this, its newline included: container runtimes cut at 16 KiB.
pub const MAX_LINE: usize = 8192;

/// Whose names the lines use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// The project's own, as the JSON Schema describes them.
    #[default]
    Native,
    /// OpenTelemetry's semantic conventions.
    Otel,
    /// The Elastic Common Schema.
    Ecs,
}

/// Why a record did not become a line.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Even with its texts cut short.
    #[error("the record is longer than a line may be")]
    TooLong,
    /// A value that JSON can not hold.
    #[error("the record does not serialise")]
    Serialise(#[from] serde_json::Error),
    /// Text for a person that could not be put together.
    #[error("the record can not be shown")]
    Format(#[from] fmt::Error),
}

/// Turns records into lines.
#[derive(Clone, Debug)]
pub struct LineFormat {
    /// The host that the lines say they come from.
    pub host: Text,
    /// The start of the agent that they belong to.
    pub run: RunId,
    /// Whose names they use.
    pub naming: Naming,
    /// A login or lookup that took longer is slow; see [`Body::severity`].
    pub slow: Option<Nanos>,
}

impl LineFormat {
    /// Lines that come from `host`, of a run without a name.
    pub fn new(host: &str, naming: Naming) -> Self {
        Self {
            host: host.into(),
            run: RunId::default(),
            naming,
            slow: None,
        }
    }

    /// Appends the record's line to `out` as the `number`th of the run that is written there, with
    /// its newline; on an error `out` is as before.
    pub fn append(&self, record: &Record, number: u64, out: &mut Vec<u8>) -> Result<(), LineError> {
        let before = out.len();
        let appended = self.try_append(record, number, out);
        if appended.is_err() {
            out.truncate(before);
        }
        appended
    }

    fn try_append(&self, record: &Record, number: u64, out: &mut Vec<u8>) -> Result<(), LineError> {
        let before = out.len();
        let line = Line::new(self, record, number);
        if self.naming == Naming::Native {
            write(&line, out)?;
            if out.len() - before < MAX_LINE {
                return Ok(());
            }
            out.truncate(before);
        }
        self.append_within_limit(&line, out)
    }

    /// Writes the line with its texts and lists cut ever shorter until it is short enough. Only
    /// hostile peers make this necessary: they may fill every name with characters that JSON escapes.
    fn append_within_limit(&self, line: &Line<'_>, out: &mut Vec<u8>) -> Result<(), LineError> {
        let before = out.len();
        for limits in Limits::STEPS {
            let mut value = serde_json::to_value(line)?;
            limits.shorten(&mut value);
            for path in limits.without {
                drop(take(&mut value, path));
            }
            write(&self.rename(value), out)?;
            if out.len() - before < MAX_LINE {
                return Ok(());
            }
            out.truncate(before);
        }
        Err(LineError::TooLong)
    }

    fn rename(&self, line: Value) -> Value {
        match self.naming {
            Naming::Native => line,
            Naming::Otel => otel::rename(&line),
            Naming::Ecs => ecs::rename(line),
        }
    }
}

impl Record {
    /// Appends the record's line in the project's own names, as the first of a run without a name;
    /// see [`LineFormat`].
    pub fn to_line(&self, host: &str, out: &mut Vec<u8>) -> Result<(), LineError> {
        LineFormat::new(host, Naming::Native).append(self, 1, out)
    }
}

/// The line's whole shape: what the JSON Schema is derived from.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "schema",
    schemars(title = "A line of tds-tracer's event stream")
)]
pub(super) struct Line<'a> {
    schema_version: SchemaVersion,
    /// How much it matters: `warn` for what was slow, lost or degraded, `error` for what failed.
    severity: Severity,
    /// The packet or moment that decided the event.
    timestamp: Timestamp,
    host: Host<'a>,
    /// The start of the agent that the line belongs to.
    run_id: RunId,
    /// 1, 2, 3 … over all lines of the run that were written where this one was.
    #[serde(rename = "line")]
    number: Count,
    #[serde(flatten)]
    body: &'a Body,
}

impl<'a> Line<'a> {
    fn new(format: &'a LineFormat, record: &'a Record, number: u64) -> Self {
        let LineFormat {
            host,
            run,
            naming: _,
            slow,
        } = format;
        let Record { timestamp, body } = record;
        Self {
            schema_version: SchemaVersion::One,
            severity: body.severity(*slow),
            timestamp: *timestamp,
            host: Host { name: host },
            run_id: *run,
            number: Count(number),
            body,
        }
    }
}

/// Changes only when a name changes its meaning.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
enum SchemaVersion {
    #[serde(rename = "1")]
    One,
}

/// The host on which the agent runs, or the capture was read.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Host<'a> {
    name: &'a str,
}

/// How much of a value is kept.
struct Limits {
    /// Bytes of a text, as JSON escapes it. Never so few that a time, a GUID or a Community ID,
    /// which the agent writes itself, would be cut.
    text: usize,
    /// Items of a list.
    list: usize,
    /// What is left out.
    without: &'static [&'static str],
}

impl Limits {
    const STEPS: [Self; 6] = [
        Self::of(usize::MAX, usize::MAX),
        Self::of(96, 16),
        Self::of(48, 8),
        Self::of(40, 2),
        Self::of(40, 0),
        Self {
            without: &[
                "tls.hello",
                "tls.certificate",
                "tds.user_agent",
                "auth.entra",
                "auth.ntlm",
                "process.container",
            ],
            ..Self::of(40, 0)
        },
    ];

    const fn of(text: usize, list: usize) -> Self {
        Self {
            text,
            list,
            without: &[],
        }
    }

    fn shorten(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(end) = cut(text, self.text) {
                    text.truncate(end);
                    text.push('…');
                }
            }
            Value::Array(items) => {
                items.truncate(self.list);
                for item in items {
                    self.shorten(item);
                }
            }
            Value::Object(fields) => {
                for field in fields.values_mut() {
                    self.shorten(field);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn write(line: &impl Serialize, out: &mut Vec<u8>) -> Result<(), LineError> {
    json::write(line, out)?;
    out.push(b'\n');
    Ok(())
}

/// Where to cut the text so that its JSON form has at most `limit` bytes, if it has more.
fn cut(text: &str, limit: usize) -> Option<usize> {
    let mut length = 0;
    for (at, character) in text.char_indices() {
        length += match character {
            '"' | '\\' => 2,
            '\0'..='\x1f' => 6,
            _ => character.len_utf8(),
        };
        if length > limit {
            return Some(at);
        }
    }
    None
}

/// Told apart from a writer's own failure by its kind.
impl From<LineError> for io::Error {
    fn from(error: LineError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{LineFormat, MAX_LINE, Naming, Record};
    use crate::record::{Body, Text, samples};

    fn line(record: &Record, naming: Naming) -> Vec<u8> {
        let mut out = Vec::new();
        LineFormat::new("sql1", naming)
            .append(record, 1, &mut out)
            .expect("a line");
        out
    }

    #[test]
    fn every_sample_is_one_line_under_the_limit_in_every_naming() {
        for record in samples::all() {
            for naming in [Naming::Native, Naming::Otel, Naming::Ecs] {
                let line = line(&record, naming);
                assert!(line.len() < MAX_LINE, "{} bytes", line.len());
                assert_eq!(
                    line.iter().position(|&byte| byte == b'\n'),
                    Some(line.len() - 1)
                );
            }
        }
    }

    #[test]
    fn a_hostile_peer_that_fills_every_name_does_not_make_the_line_too_long() {
        let hostile = "\u{1}".repeat(10_000);
        let mut record = samples::login();
        let Body::Login(login) = &mut record.body else {
            unreachable!("a login")
        };
        samples::fill_texts(&mut login.facts, &Text::new(&hostile));
        for naming in [Naming::Native, Naming::Otel, Naming::Ecs] {
            let line = line(&record, naming);
            assert!(line.len() < MAX_LINE, "{} bytes", line.len());
            let value: Value = serde_json::from_slice(&line).expect("JSON");
            let time = value.get("timestamp").or_else(|| value.get("@timestamp"));
            assert_eq!(time.and_then(Value::as_str).map(str::len), Some(30));
        }
    }

    #[test]
    fn what_is_unknown_is_left_out_and_never_null() {
        fn nulls(value: &Value) -> usize {
            match value {
                Value::Null => 1,
                Value::Array(items) => items.iter().map(nulls).sum(),
                Value::Object(fields) => fields.values().map(nulls).sum(),
                _ => 0,
            }
        }
        for record in samples::all() {
            let value: Value =
                serde_json::from_slice(&line(&record, Naming::Native)).expect("JSON");
            assert_eq!(nulls(&value), 0, "{value}");
        }
    }

    #[test]
    fn every_line_says_version_event_severity_time_host_and_its_place_in_the_run() {
        for record in samples::all() {
            let value: Value =
                serde_json::from_slice(&line(&record, Naming::Native)).expect("JSON");
            assert_eq!(value["schema_version"], "1");
            assert!(value["event"].is_string());
            assert!(value["severity"].is_string());
            assert_eq!(value["run_id"], "0000000000000000");
            assert_eq!(value["line"], 1);
            assert_eq!(value["timestamp"].as_str().map(str::len), Some(30));
            assert_eq!(value["host"]["name"], "sql1");
        }
    }
}
