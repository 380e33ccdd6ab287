//! OpenTelemetry's protocol (OTLP 1.x), by HTTP with protocol buffers or by gRPC: records as log records, logins and
//! attempts as spans too, and what is counted and measured as metrics.
//!
//! [`logs`] and [`spans`] make messages of lines, [`metrics`] and [`points`] of figures; [`client`] carries them,
//! [`answer`] says what became of them.

mod answer;
mod client;
mod described;
mod logs;
mod metrics;
mod packed;
mod points;
mod resource;
mod signal;
mod spans;
mod values;

use std::{
    fs, io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::{
    Uri,
    header::{HeaderName, HeaderValue},
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;

use self::{
    answer::Refused,
    client::Client,
    described::Described,
    metrics::Meter,
    packed::{Envelope, Items},
    signal::Signal,
    spans::Spans,
};
use super::{
    address::Host,
    deliver::{Deliver, Delivered, Trouble},
    figures::Figures,
    line::Line,
    tls::Tls,
};
use crate::record::{RunId, Text};

/// How long records are gathered for one request.
const LULL: Duration = Duration::from_millis(500);

/// How the messages are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, protocol buffers in its bodies.
    Http,
    /// gRPC over HTTP/2.
    Grpc,
}

/// As it is configured.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is wanted or not, whatever the others are"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// `http://HOST:PORT` or `https://HOST:PORT`, with a path before `/v1/logs` where there is one.
    pub url: Uri,
    /// How.
    pub protocol: Protocol,
    /// Whether bodies are compressed.
    pub gzip: bool,
    /// A file of `NAME: VALUE` lines that are sent with each request.
    pub headers: Option<PathBuf>,
    /// Through which connections are made, by CONNECT.
    pub proxy: Option<Host>,
    /// For `https://`.
    pub tls: Tls,
    /// Log records are sent.
    pub logs: bool,
    /// Spans are sent.
    pub traces: bool,
    /// Metrics are sent, this often.
    pub metrics: Option<Duration>,
    /// `attempt` records come too: their spans are those of logins' parents.
    pub attempts: bool,
    /// The name of this host.
    pub host: Text,
    /// What Kubernetes calls it.
    pub node: Option<Text>,
    /// The start of the agent.
    pub run: RunId,
}

impl Otlp {
    /// The port that is connected to: the proxy's where there is one.
    pub(super) fn port(&self) -> u16 {
        let own = || self.host().map_or(0, |host| host.port);
        self.proxy.as_ref().map_or_else(own, |proxy| proxy.port)
    }

    /// Where it is; by default at the ports that OTLP has.
    pub fn host(&self) -> Result<Host, String> {
        let name = self.url.host().filter(|name| !name.is_empty());
        let name = name.ok_or("it names no host")?;
        let usual = match self.protocol {
            Protocol::Http => 4318,
            Protocol::Grpc => 4317,
        };
        Ok(Host {
            name: name.trim_matches(['[', ']']).to_owned(),
            port: self.url.port_u16().unwrap_or(usual),
        })
    }

    /// Whether TLS is spoken.
    fn is_secure(&self) -> bool {
        self.url.scheme_str() == Some("https")
    }

    pub(super) fn open(&self) -> io::Result<Box<dyn Deliver>> {
        let headers = match &self.headers {
            Some(path) => headers(&fs::read_to_string(path)?)
                .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?,
            None => Vec::new(),
        };
        Ok(Box::new(Exporter {
            client: Client::new(self, headers)?,
            envelope: Envelope::new(&resource::resource(self), &scope()),
            packed: Packed::default(),
            spans: Spans::new(&self.host, self.attempts),
            logs: self.logs,
            traces: self.traces,
            logs_are_there: false,
            meter: Meter::new(self.metrics),
        }))
    }
}

/// The headers that stand in a file; a complaint never has their values.
fn headers(text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let header = |(index, line): (usize, &str)| {
        let complaint = || format!("line {} is no NAME: VALUE", index + 1);
        let (name, value) = line.split_once(':').ok_or_else(complaint)?;
        let name = name.trim().parse().map_err(|_wrong| complaint())?;
        let mut value: HeaderValue = value.trim().parse().map_err(|_wrong| complaint())?;
        value.set_sensitive(true);
        Ok((name, value))
    };
    lines.map(header).collect()
}

/// See the module.
struct Exporter {
    client: Client,
    envelope: Envelope,
    packed: Packed,
    spans: Spans,
    logs: bool,
    traces: bool,
    /// The log records of the lines at hand were taken by an earlier try.
    logs_are_there: bool,
    meter: Meter,
}

/// The lines at hand as they are sent.
#[derive(Debug, Default)]
struct Packed {
    described: Described,
    logs: Items,
    spans: Items,
}

impl Exporter {
    /// Puts lines together; says how many have spans.
    fn pack(&mut self, lines: &[Line]) -> u64 {
        let Packed {
            described,
            logs,
            spans,
        } = &mut self.packed;
        logs.clear();
        spans.clear();
        let mut with_spans = 0;
        for line in lines {
            // What the agent has written is JSON.
            let Ok(value) = serde_json::from_slice(line.text()) else {
                continue;
            };
            described.set(&value);
            let place = self.spans.of(&value, described, spans);
            with_spans += u64::from(place.is_some());
            logs::add(line, described, place.as_ref(), logs);
        }
        with_spans
    }
}

impl Deliver for Exporter {
    fn deliver(&mut self, lines: &[Line]) -> Result<Delivered, Trouble> {
        let with_spans = self.pack(lines);
        let mut refused = 0;
        if self.logs && !self.logs_are_there {
            let request = self.envelope.request(&self.packed.logs);
            refused += self.client.send(Signal::Logs, &request)?.0;
        }
        self.logs_are_there = true;
        if self.traces && !self.packed.spans.is_empty() {
            let request = self.envelope.request(&self.packed.spans);
            let sent = self.client.send(Signal::Traces, &request);
            let Refused(count) = match sent {
                Err(Trouble::Later(why, after)) => return Err(Trouble::Later(why, after)),
                // The records are there; of each that has spans only those are missing.
                Err(Trouble::Never(_)) if self.logs => Refused(with_spans),
                sent => {
                    self.logs_are_there = false;
                    sent?
                }
            };
            refused += count;
        }
        self.logs_are_there = false;
        Ok(Delivered { refused })
    }

    fn begin(&mut self, figures: Option<Arc<dyn Figures>>) {
        self.meter.begin(figures);
    }

    fn due(&self) -> Option<Instant> {
        self.meter.due()
    }

    fn tell(&mut self) -> Result<Delivered, Trouble> {
        let mut refused = 0;
        for metrics in self.meter.requests() {
            let mut items = Items::default();
            for metric in &metrics {
                items.push(metric);
            }
            let request = self.envelope.request(&items);
            let sent = self.client.send(Signal::Metrics, &request);
            refused += sent?.0;
        }
        Ok(Delivered { refused })
    }

    fn lull(&self) -> Duration {
        LULL
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "tds-tracer".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

#[cfg(test)]
mod tests {
    use super::headers;

    #[test]
    fn headers_stand_in_lines_and_a_complaint_says_nothing_of_their_values() {
        let read =
            headers("# who we are\nAuthorization: Bearer a:b\n\nx-scope: 1\n").expect("headers");
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].1, "Bearer a:b");
        assert!(!format!("{read:?}").contains("Bearer"));
        assert_eq!(
            headers("a: b\nsecret"),
            Err("line 2 is no NAME: VALUE".to_owned())
        );
    }
}
