//! A line in OpenTelemetry's names, put together once for its log record and its span.

use serde_json::Value;

use super::packed::Attributes;
use crate::record::otel;

/// The severity from which on something failed (Logs Data Model, Severity Fields).
const ERROR: i32 = 17;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Described {
    pub(super) event_name: String,
    pub(super) severity_number: i32,
    pub(super) severity_text: String,
    /// What went wrong, if anything did.
    pub(super) error: Option<String>,
    /// All but what the resource and the record itself say, and what follows.
    pub(super) attributes: Attributes,
    /// Those of its parts, which are spans of their own.
    pub(super) parts: Attributes,
    /// Of those that are said already: what the span of a connect has too.
    pub(super) connect: Attributes,
    /// And what that of a TLS handshake has.
    pub(super) handshake: Attributes,
}

impl Described {
    /// From now on it is that line.
    pub(super) fn set(&mut self, line: &Value) {
        self.attributes.clear();
        self.parts.clear();
        self.connect.clear();
        self.handshake.clear();
        self.error = None;
        otel::each(line, &mut |name, value| self.put(name, value));
    }

    fn put(&mut self, name: &str, value: &Value) {
        let text = || value.as_str().unwrap_or_default().to_owned();
        match name {
            // The resource has the host, and the record its time.
            "host.name" | "timestamp" => {}
            "event_name" => self.event_name = text(),
            "severity_text" => self.severity_text = text(),
            "severity_number" => {
                let number = value.as_i64().and_then(|number| number.try_into().ok());
                self.severity_number = number.unwrap_or(0);
            }
            name if name.starts_with("tds_tracer.phases.")
                || name == "tds_tracer.attempt.parts" =>
            {
                self.parts.put(name, value);
            }
            name => {
                match name {
                    "error.type" => self.error = Some(text()),
                    "network.peer.address"
                    | "network.peer.port"
                    | "network.transport"
                    | "network.type" => self.connect.put(name, value),
                    "server.address" | "tls.protocol.name" | "tls.protocol.version" => {
                        self.handshake.put(name, value);
                    }
                    _ => {}
                }
                self.attributes.put(name, value);
            }
        }
    }

    /// Whether it failed.
    pub(super) fn has_failed(&self) -> bool {
        self.severity_number >= ERROR
    }
}
