//! A line of the event stream, as far as a report reads it. What a later version adds is passed over, and so is
//! what an earlier one did not have.

#![expect(clippy::struct_field_names, reason = "they are the lines' own names")]

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// A point of time: nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) i64);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(deserializer)?;
        let time: jiff::Timestamp = text.parse().map_err(de::Error::custom)?;
        let nanoseconds = i64::try_from(time.as_nanosecond()).map_err(de::Error::custom)?;
        Ok(Self(nanoseconds))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(self.0.into()) {
            Ok(time) => write!(f, "{}", time.strftime("%Y-%m-%d %H:%M:%S%.3fZ")),
            Err(_) => f.write_str("?"),
        }
    }
}

/// One line.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) timestamp: Moment,
    pub(super) event: String,
    #[serde(default)]
    pub(super) severity: String,
    #[serde(default)]
    pub(super) host: Host,
    pub(super) run_id: Option<String>,
    pub(super) line: Option<u64>,
    connection: Option<Connection>,
    client: Option<End>,
    server: Option<End>,
    process: Option<Process>,
    tds: Option<Tds>,
    auth: Option<Auth>,
    login: Option<Login>,
    #[serde(default)]
    phases: BTreeMap<String, Phase>,
    #[serde(default)]
    diagnosis: Vec<Cause>,
    pub(super) attempt: Option<Attempt>,
    pub(super) incident: Option<Incident>,
    pub(super) loss: Option<Loss>,
    pub(super) agent: Option<Agent>,
}

impl Line {
    /// What it says of a connection; it has nothing of that left.
    pub(super) fn facts(&mut self) -> Facts {
        Facts {
            connection: self.connection.take(),
            client: self.client.take(),
            server: self.server.take(),
            process: self.process.take(),
            tds: self.tds.take(),
            auth: self.auth.take(),
            login: self.login.take(),
            phases: std::mem::take(&mut self.phases),
            diagnosis: std::mem::take(&mut self.diagnosis),
        }
    }
}

/// Which host said so.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Host {
    #[serde(default)]
    pub(super) name: String,
}

/// A connection and its login.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) connection: Option<Connection>,
    pub(super) client: Option<End>,
    pub(super) server: Option<End>,
    pub(super) process: Option<Process>,
    pub(super) tds: Option<Tds>,
    pub(super) auth: Option<Auth>,
    pub(super) login: Option<Login>,
    pub(super) phases: BTreeMap<String, Phase>,
    pub(super) diagnosis: Vec<Cause>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Connection {
    pub(super) id: String,
    pub(super) community_id: Option<String>,
    #[serde(default)]
    pub(super) vantage: String,
    pub(super) start: Moment,
    #[serde(default)]
    pub(super) partial: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct End {
    pub(super) address: String,
    pub(super) port: Option<u16>,
    pub(super) instance: Option<String>,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) if self.address.contains(':') => write!(f, "[{}]:{port}", self.address),
            Some(port) => write!(f, "{}:{port}", self.address),
            None => f.write_str(&self.address),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) name: Option<String>,
    pub(super) container_id: Option<String>,
    container: Option<Container>,
    k8s: Option<Kubernetes>,
}

#[derive(Clone, Debug, Deserialize)]
struct Container {
    name: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Kubernetes {
    namespace: Option<String>,
    pod: Option<String>,
}

impl Process {
    /// Where it runs, by the best name there is: its pod's, its container's, or the beginning of the container's id.
    pub(super) fn place(&self) -> Option<String> {
        let pod = self.k8s.as_ref().and_then(|k8s| {
            let (namespace, pod) = k8s.namespace.as_ref().zip(k8s.pod.as_ref())?;
            Some(format!("{namespace}/{pod}"))
        });
        let name = || self.container.as_ref()?.name.clone();
        let id = || Some(self.container_id.as_ref()?.get(..12)?.to_owned());
        pod.or_else(name).or_else(id)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tds {
    pub(super) encryption: Option<String>,
    pub(super) connection_guid: Option<String>,
    pub(super) spid: Option<u16>,
    pub(super) user_agent: Option<UserAgent>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct UserAgent {
    pub(super) driver: Option<String>,
    pub(super) version: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Auth {
    pub(super) kind: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Login {
    pub(super) outcome: Option<String>,
    pub(super) basis: Option<String>,
    pub(super) duration_ns: Option<u64>,
    pub(super) error: Option<SqlError>,
    pub(super) app_name: Option<String>,
    pub(super) client_library: Option<String>,
    pub(super) loser: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct SqlError {
    pub(super) number: u32,
    #[serde(default)]
    pub(super) state: u8,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Phase {
    pub(super) start_ns: u64,
    pub(super) duration_ns: u64,
    pub(super) client_ns: Option<u64>,
    pub(super) server_ns: Option<u64>,
    pub(super) network_ns: Option<u64>,
}

/// A cause with its evidence.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Cause {
    pub(super) cause: String,
    #[serde(default)]
    pub(super) confidence: f64,
    #[serde(rename = "for")]
    pub(super) whom: Option<String>,
    #[serde(default)]
    pub(super) evidence: BTreeMap<String, Value>,
}

/// Of a login its attempt's id alone; of an `attempt` line all of it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Attempt {
    pub(super) id: String,
    pub(super) start: Option<Moment>,
    pub(super) duration_ns: Option<u64>,
    pub(super) outcome: Option<String>,
    #[serde(default)]
    pub(super) parts: Vec<Part>,
    #[serde(default)]
    pub(super) diagnosis: Vec<Cause>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Part {
    pub(super) kind: String,
    pub(super) start_ns: u64,
    pub(super) duration_ns: u64,
    pub(super) outcome: Option<String>,
    pub(super) name: Option<String>,
    pub(super) connection_id: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Incident {
    pub(super) id: String,
    pub(super) outcome: Option<String>,
    pub(super) cause: String,
    #[serde(default)]
    pub(super) confidence: f64,
    #[serde(rename = "for")]
    pub(super) whom: Option<String>,
    pub(super) error: Option<u32>,
    pub(super) start: Moment,
    pub(super) end: Option<Moment>,
    #[serde(default)]
    pub(super) duration_ns: u64,
    #[serde(default)]
    pub(super) logins: u64,
    #[serde(default)]
    pub(super) of_logins: u64,
    #[serde(default)]
    pub(super) failed: u64,
    #[serde(default)]
    pub(super) slow: u64,
    #[serde(default)]
    pub(super) clients: Affected,
    #[serde(default)]
    pub(super) servers: Affected,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Affected {
    pub(super) count: u64,
    pub(super) top: Vec<End>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Loss {
    pub(super) reason: String,
    #[serde(default)]
    pub(super) count: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Agent {
    pub(super) action: String,
    pub(super) reason: Option<String>,
    pub(super) detail: Option<String>,
}
