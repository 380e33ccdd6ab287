//! Sinks, as they are typed and as they stand in files: `--sink kind=KIND,KEY=VALUE,…`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::ValueEnum as _;
use hyper::Uri;

use super::{
    output::{OUTPUT, SchemaName},
    pairs::Pairs,
    values,
};
use crate::{
    host,
    record::{Event, Naming, Nanos, RunId, Text},
    sink::{
        Address, Bound, Destination, EventSet, FACILITIES, Filter, Format, JOURNAL, Journald, Otlp,
        Protocol, Receiver, Settings, SocketReceiver, SpoolSettings, Syslog, Tls,
    },
};

/// The kinds that there are.
pub(super) const KINDS: [&str; 6] = ["file", "stdout", "journald", "syslog", "socket", "otlp"];

/// Bytes on disk for what waits to cross the network, where nobody says how many.
const SPOOL: u64 = 256 << 20;
/// Files that were moved away and are kept, likewise.
const KEEP: u32 = 5;
/// How often metrics are told by OTLP, likewise; as often as the SDKs of OpenTelemetry do.
const INTERVAL: Duration = Duration::from_mins(1);
/// Where syslog messages are taken on this host.
const SYSLOG: &str = "unix:/dev/log";

/// What sinks are told of this agent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place<'a> {
    /// The directory in which it remembers.
    pub(super) state: Option<&'a Path>,
    /// What Kubernetes calls this node.
    pub(super) node: Option<&'a str>,
}

/// A sink, as typed.
#[derive(Clone, Debug)]
pub(super) struct SinkArg {
    name: String,
    to: To,
    events: Option<EventSet>,
    slow: Option<Nanos>,
    schema: Option<Naming>,
    spool: Option<PathBuf>,
    spool_bytes: Option<u64>,
}

#[derive(Clone, Debug)]
enum To {
    Stdout { pretty: bool },
    File(PathBuf, Option<Bound>),
    Receiver(Receiver),
}

impl FromStr for SinkArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pairs = Pairs::read(text)?;
        let kind = pairs.take("kind").ok_or("it has no `kind`")?;
        let name = pairs.take("name").unwrap_or_else(|| kind.clone());
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) {
            return Err(format!(
                "name: `{name}` has other than letters, digits, - and _"
            ));
        }
        let sink = Self {
            name,
            events: pairs.parsed("events", |list| {
                list.parse()
                    .map_err(|error: crate::sink::EventSetError| error.to_string())
            })?,
            slow: pairs.parsed("slow", values::milliseconds)?,
            to: to(&kind, &mut pairs)?,
            schema: pairs.parsed("schema", naming)?,
            spool: pairs.take("spool").map(PathBuf::from),
            spool_bytes: pairs.parsed("spool-bytes", values::output_bytes)?,
        };
        if let Some(key) = pairs.left() {
            return Err(format!("a sink of the kind {kind} has no `{key}`"));
        }
        sink.check()?;
        Ok(sink)
    }
}

/// Where it goes, by its kind.
fn to(kind: &str, pairs: &mut Pairs) -> Result<To, String> {
    Ok(match kind {
        "stdout" => To::Stdout {
            pretty: pairs.parsed("format", is_pretty)?.unwrap_or_default(),
        },
        "file" => {
            let path = pairs.take("path").ok_or("a file has a `path`")?;
            let bytes = pairs.parsed("max-bytes", values::output_bytes)?;
            let keep = pairs.parsed("keep", number)?.unwrap_or(KEEP);
            let age = pairs.parsed("max-age", values::duration)?;
            To::File(path.into(), Bound::new(bytes, age, keep))
        }
        "journald" => To::Receiver(Receiver::Journald(Journald {
            path: pairs.take("path").map_or(JOURNAL.into(), PathBuf::from),
        })),
        "syslog" => To::Receiver(Receiver::Syslog(Syslog {
            address: match pairs.parsed("address", str::parse)? {
                Some(address) => address,
                None => SYSLOG.parse()?,
            },
            facility: pairs.parsed("facility", facility)?.unwrap_or(3),
            host: Text::from(host::name()),
            tls: tls(pairs),
        })),
        "socket" => {
            let address = pairs.parsed("address", str::parse)?;
            let address = address.ok_or("a socket has an `address`")?;
            if let Address::Udp(_) = address {
                return Err("address: lines are not sent by datagrams".to_owned());
            }
            To::Receiver(Receiver::Socket(SocketReceiver {
                address,
                tls: tls(pairs),
            }))
        }
        "otlp" => To::Receiver(Receiver::Otlp(Box::new(otlp(pairs)?))),
        _ => {
            let kinds = KINDS.join(", ");
            return Err(format!(
                "no kind of sink is named `{kind}`: use one of {kinds}"
            ));
        }
    })
}

fn otlp(pairs: &mut Pairs) -> Result<Otlp, String> {
    let url = |text: &str| text.parse::<Uri>().map_err(|error| error.to_string());
    let url = pairs.parsed("url", url)?.ok_or("OTLP has a `url`")?;
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        return Err("url: use http://HOST:PORT or https://HOST:PORT".to_owned());
    }
    let signals = pairs
        .take("signals")
        .unwrap_or_else(|| "logs,traces,metrics".to_owned());
    let has = |signal: &str| signals.split(',').any(|one| one.trim() == signal);
    if signals
        .split(',')
        .any(|one| !["logs", "traces", "metrics"].contains(&one.trim()))
    {
        return Err("signals: use some of logs, traces, metrics".to_owned());
    }
    let interval = pairs.parsed("interval", values::duration)?;
    let interval = interval.unwrap_or(INTERVAL);
    let otlp = Otlp {
        url,
        protocol: pairs
            .parsed("protocol", protocol)?
            .unwrap_or(Protocol::Http),
        gzip: pairs.parsed("gzip", switch)?.unwrap_or(true),
        headers: pairs.take("headers").map(PathBuf::from),
        proxy: pairs.parsed("proxy", str::parse)?,
        tls: tls(pairs),
        logs: has("logs"),
        traces: has("traces"),
        metrics: has("metrics").then_some(interval),
        attempts: true,
        host: Text::from(host::name()),
        // Whose they are is known later.
        node: None,
        run: RunId::default(),
    };
    otlp.host().map_err(|error| format!("url: {error}"))?;
    Ok(otlp)
}

fn protocol(name: &str) -> Result<Protocol, String> {
    match name {
        "http" => Ok(Protocol::Http),
        "grpc" => Ok(Protocol::Grpc),
        _ => Err("use http or grpc".to_owned()),
    }
}

fn switch(word: &str) -> Result<bool, String> {
    match word {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err("use on or off".to_owned()),
    }
}

fn tls(pairs: &mut Pairs) -> Tls {
    Tls {
        ca: pairs.take("ca").map(PathBuf::from),
        certificate: pairs.take("cert").map(PathBuf::from),
        key: pairs.take("key").map(PathBuf::from),
    }
}

fn is_pretty(format: &str) -> Result<bool, String> {
    match format {
        "json" => Ok(false),
        "pretty" => Ok(true),
        _ => Err("use json or pretty".to_owned()),
    }
}

fn naming(schema: &str) -> Result<Naming, String> {
    SchemaName::from_str(schema, false).map(SchemaName::naming)
}

fn number(text: &str) -> Result<u32, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=1000).contains(number));
    number.ok_or_else(|| "use 1 to 1000".to_owned())
}

fn facility(name: &str) -> Result<u8, String> {
    let by_name = FACILITIES.iter().position(|known| *known == name);
    let number = by_name.or_else(|| name.parse().ok());
    let number = number.filter(|number| *number < FACILITIES.len());
    match number.map(u8::try_from) {
        Some(Ok(number)) => Ok(number),
        _ => Err("use a name such as daemon or local0, or its number".to_owned()),
    }
}

/// Whether records become something else than lines.
fn has_own_names(to: &To) -> bool {
    matches!(to, To::Receiver(Receiver::Journald(_) | Receiver::Otlp(_)))
}

impl SinkArg {
    /// What goes together, and what does not.
    fn check(&self) -> Result<(), String> {
        let is_remote = matches!(&self.to, To::Receiver(receiver) if receiver.is_remote());
        if !is_remote && (self.spool.is_some() || self.spool_bytes.is_some()) {
            return Err("only what crosses the network has a spool".to_owned());
        }
        if has_own_names(&self.to) && self.schema.is_some() {
            return Err("its fields have names of their own: leave out `schema`".to_owned());
        }
        Ok(())
    }

    /// What is not said as the options for the output have it.
    fn settings(&self, usual: &Settings, place: Place<'_>) -> anyhow::Result<Settings> {
        let usual_naming = match usual.format {
            Format::Json(naming) => naming,
            Format::Pretty => Naming::Native,
        };
        let events = self.events.unwrap_or(usual.filter.events);
        let named = Format::Json(self.schema.unwrap_or(usual_naming));
        let (destination, format) = match &self.to {
            To::Stdout { pretty: true } => (Destination::Stdout, Format::Pretty),
            To::Stdout { pretty: false } => (Destination::Stdout, named),
            To::File(path, bound) => (Destination::File(path.clone(), *bound), named),
            To::Receiver(receiver) => {
                let spool = if receiver.is_remote() {
                    Some(self.spool(place.state)?)
                } else {
                    None
                };
                let format = if has_own_names(&self.to) {
                    Format::Json(Naming::Native)
                } else {
                    named
                };
                let mut receiver = receiver.clone();
                if let Receiver::Otlp(otlp) = &mut receiver {
                    otlp.attempts = events.contains(Event::Attempt);
                    otlp.run = usual.run;
                    otlp.node = place.node.map(Text::from);
                }
                (Destination::Receiver(receiver, spool), format)
            }
        };
        Ok(Settings {
            name: self.name.clone(),
            destination,
            format,
            filter: Filter {
                events,
                slow: self.slow.or(usual.filter.slow),
            },
            ..usual.clone()
        })
    }

    fn spool(&self, state: Option<&Path>) -> anyhow::Result<SpoolSettings> {
        let directory = match (&self.spool, state) {
            (Some(directory), _) => directory.clone(),
            (None, Some(state)) => state.join("spool").join(&self.name),
            (None, None) => anyhow::bail!(
                "the sink {} crosses the network: say by --state, or by its `spool`, in which directory its records wait",
                self.name
            ),
        };
        Ok(SpoolSettings {
            directory,
            most: self.spool_bytes.unwrap_or(SPOOL),
        })
    }
}

/// What is written in all: the sinks, and the output as the options for it have it where a file is named or no sink
/// is.
pub(super) fn outputs(
    sinks: &[SinkArg],
    usual: Settings,
    names_file: bool,
    place: Place<'_>,
) -> anyhow::Result<Vec<Settings>> {
    let mut names = BTreeSet::from([OUTPUT]);
    let mut outputs = Vec::new();
    for sink in sinks {
        if !names.insert(&sink.name) {
            anyhow::bail!(
                "two sinks are named `{}`: give each a `name` of its own",
                sink.name
            );
        }
        outputs.push(sink.settings(&usual, place)?);
    }
    if names_file || sinks.is_empty() {
        outputs.insert(0, usual);
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests;
