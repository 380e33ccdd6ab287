//! A line of the event stream, as far as a report reads it. What a later version adds is passed over, and so is
//! what an earlier one did not have.

#![expect(clippy::struct_field_names, reason = "they are the lines' own names")]

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// A point of time: nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) i64);

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
pub(crate) struct Line {
    pub(crate) timestamp: Moment,
    pub(crate) event: String,
    #[serde(default)]
    pub(crate) severity: String,
    #[serde(default)]
    pub(crate) host: Host,
    pub(crate) run_id: Option<String>,
    pub(crate) line: Option<u64>,
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
    pub(crate) attempt: Option<Attempt>,
    pub(crate) incident: Option<Incident>,
    pub(crate) loss: Option<Loss>,
    pub(crate) agent: Option<Agent>,
}

impl Line {
    /// What it says of a connection; it has nothing of that left.
    pub(crate) fn facts(&mut self) -> Facts {
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
pub(crate) struct Host {
    #[serde(default)]
    pub(crate) name: String,
}

/// A connection and its login.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) connection: Option<Connection>,
    pub(crate) client: Option<End>,
    pub(crate) server: Option<End>,
    pub(crate) process: Option<Process>,
    pub(crate) tds: Option<Tds>,
    pub(crate) auth: Option<Auth>,
    pub(crate) login: Option<Login>,
    pub(crate) phases: BTreeMap<String, Phase>,
    pub(crate) diagnosis: Vec<Cause>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Connection {
    pub(crate) id: String,
    pub(crate) community_id: Option<String>,
    #[serde(default)]
    pub(crate) vantage: String,
    pub(crate) start: Moment,
    #[serde(default)]
    pub(crate) partial: bool,
    #[serde(default)]
    pub(crate) partial_reasons: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct End {
    pub(crate) address: String,
    pub(crate) port: Option<u16>,
    pub(crate) instance: Option<String>,
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
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) name: Option<String>,
    pub(crate) container_id: Option<String>,
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
    pub(crate) fn place(&self) -> Option<String> {
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
pub(crate) struct Tds {
    pub(crate) encryption: Option<String>,
    pub(crate) connection_guid: Option<String>,
    pub(crate) spid: Option<u16>,
    pub(crate) user_agent: Option<UserAgent>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct UserAgent {
    pub(crate) driver: Option<String>,
    pub(crate) version: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Auth {
    pub(crate) kind: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Login {
    pub(crate) outcome: Option<String>,
    pub(crate) basis: Option<String>,
    pub(crate) duration_ns: Option<u64>,
    pub(crate) error: Option<SqlError>,
    pub(crate) app_name: Option<String>,
    pub(crate) client_library: Option<String>,
    pub(crate) loser: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct SqlError {
    pub(crate) number: u32,
    #[serde(default)]
    pub(crate) state: u8,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Phase {
    pub(crate) start_ns: u64,
    pub(crate) duration_ns: u64,
    pub(crate) client_ns: Option<u64>,
    pub(crate) server_ns: Option<u64>,
    pub(crate) network_ns: Option<u64>,
}

/// A cause with its evidence.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Cause {
    pub(crate) cause: String,
    #[serde(default)]
    pub(crate) confidence: f64,
    #[serde(rename = "for")]
    pub(crate) whom: Option<String>,
    #[serde(default)]
    pub(crate) evidence: BTreeMap<String, Value>,
}

/// Of a login its attempt's id alone; of an `attempt` line all of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) id: String,
    pub(crate) start: Option<Moment>,
    pub(crate) duration_ns: Option<u64>,
    pub(crate) outcome: Option<String>,
    #[serde(default)]
    pub(crate) parts: Vec<Part>,
    #[serde(default)]
    pub(crate) diagnosis: Vec<Cause>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Part {
    pub(crate) kind: String,
    pub(crate) start_ns: u64,
    pub(crate) duration_ns: u64,
    pub(crate) outcome: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) connection_id: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Incident {
    pub(crate) id: String,
    pub(crate) outcome: Option<String>,
    pub(crate) cause: String,
    #[serde(default)]
    pub(crate) confidence: f64,
    #[serde(rename = "for")]
    pub(crate) whom: Option<String>,
    pub(crate) error: Option<u32>,
    pub(crate) start: Moment,
    pub(crate) end: Option<Moment>,
    #[serde(default)]
    pub(crate) duration_ns: u64,
    #[serde(default)]
    pub(crate) logins: u64,
    #[serde(default)]
    pub(crate) of_logins: u64,
    #[serde(default)]
    pub(crate) failed: u64,
    #[serde(default)]
    pub(crate) slow: u64,
    #[serde(default)]
    pub(crate) clients: Affected,
    #[serde(default)]
    pub(crate) servers: Affected,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Affected {
    pub(crate) count: u64,
    pub(crate) top: Vec<End>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Loss {
    pub(crate) reason: String,
    #[serde(default)]
    pub(crate) count: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Agent {
    pub(crate) action: String,
    pub(crate) reason: Option<String>,
    pub(crate) detail: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Process;

    #[test]
    fn a_container_is_called_by_the_best_name_there_is() {
        let mut process = json!({ "pid": 1, "container_id": "4f797c539e6c745de61a93ca3ff89235" });
        let place = |process: &serde_json::Value| {
            let process: Process = serde_json::from_value(process.clone()).expect("a process");
            process.place().expect("a place")
        };
        assert_eq!(place(&process), "4f797c539e6c");
        process["container"] = json!({ "name": "sql1", "runtime": "docker" });
        assert_eq!(place(&process), "sql1");
        process["k8s"] = json!({ "pod_uid": "ccf19bc6" });
        assert_eq!(place(&process), "sql1");
        process["k8s"] = json!({ "namespace": "web", "pod": "shop-0", "pod_uid": "ccf19bc6" });
        assert_eq!(place(&process), "web/shop-0");
    }
}
