//! The stream in OpenTelemetry's names: one flat object a line. The log record's own fields are
//! `timestamp`, `event_name`, `severity_number` and `severity_text`; all others are attributes by
//! their dotted names.
//!
//! What the semantic conventions have no name for keeps its own, below `tds_tracer.`.

use std::{borrow::Borrow, collections::HashMap, sync::LazyLock};

use foldhash::fast::RandomState;
use serde_json::{Map, Value, json};

use super::rename::{BROWSER_PORT, attempt_failed, login_failed, network_type, peek, transport};

/// Native path and OpenTelemetry attribute, where a value moves as it is.
const MOVED: [(&str, &str); 29] = [
    ("timestamp", "timestamp"),
    ("host.name", "host.name"),
    ("client.address", "client.address"),
    ("client.port", "client.port"),
    ("server.address", "server.address"),
    ("server.port", "server.port"),
    ("connection.interface", "network.interface.name"),
    ("process.pid", "process.pid"),
    ("process.uid", "process.real_user.id"),
    ("process.executable", "process.executable.path"),
    ("process.cgroup", "process.linux.cgroup"),
    ("process.container_id", "container.id"),
    ("process.container.name", "container.name"),
    ("process.container.image", "container.image.name"),
    ("process.container.runtime", "container.runtime.name"),
    ("process.k8s.namespace", "k8s.namespace.name"),
    ("process.k8s.pod", "k8s.pod.name"),
    ("process.k8s.pod_uid", "k8s.pod.uid"),
    ("process.k8s.container", "k8s.container.name"),
    ("process.k8s.node", "k8s.node.name"),
    ("tls.version", "tls.protocol.version"),
    ("tls.cipher", "tls.cipher"),
    ("tls.resumed", "tls.resumed"),
    ("tls.alpn", "tls.next_protocol"),
    ("tls.certificate.subject", "tls.server.subject"),
    ("tls.certificate.issuer", "tls.server.issuer"),
    ("tls.certificate.not_before", "tls.server.not_before"),
    ("tls.certificate.not_after", "tls.server.not_after"),
    ("login.user", "user.name"),
];

/// The names that values get which move as they are.
static NAMES: LazyLock<HashMap<&str, &str, RandomState>> =
    LazyLock::new(|| MOVED.into_iter().collect());

/// What keeps its own name has it below this.
const OWN: &str = "tds_tracer.";

/// A native line in OpenTelemetry's names.
pub fn rename(line: &Value) -> Value {
    let mut attributes = Map::new();
    each(line, &mut |name, value| {
        attributes.insert(name.to_owned(), value.clone());
    });
    Value::Object(attributes)
}

/// Tells each attribute of a native line by its name. None comes twice.
pub fn each(line: &Value, tell: &mut dyn FnMut(&str, &Value)) {
    let mut tell = Telling { line, tell };
    let event = line["event"].as_str().unwrap_or_default();
    tell.record_fields(event);
    if line.get("client").is_some() {
        tell.network(event);
    }
    if line.get("login").is_some() {
        tell.database();
    }
    if let Some(error) = error(line) {
        tell.put("error.type", error);
    }
    if line.get("tls").is_some() {
        tell.put("tls.protocol.name", json!("tls"));
    }
    if let Some(complete) = peek(line, "phases.tls.complete") {
        tell.put("tls.established", complete);
    }
    if let Some(name) = peek(line, "process.executable").and_then(file_name) {
        tell.put("process.executable.name", name);
    }
    tell.all(line, event, &mut String::from(OWN));
}

/// A line, and who is told of it.
struct Telling<'a> {
    line: &'a Value,
    tell: &'a mut dyn FnMut(&str, &Value),
}

impl Telling<'_> {
    fn put(&mut self, name: &str, value: impl Borrow<Value>) {
        (self.tell)(name, value.borrow());
    }

    /// The log record's fields besides its time (Logs Data Model, `EventName` and Severity Fields).
    fn record_fields(&mut self, event: &str) {
        self.put("event_name", json!(format!("{OWN}{event}")));
        let (number, text) = match self.line["severity"].as_str() {
            Some("error") => (17, "ERROR"),
            Some("warn") => (13, "WARN"),
            _ => (9, "INFO"),
        };
        self.put("severity_number", json!(number));
        self.put("severity_text", json!(text));
    }

    fn network(&mut self, event: &str) {
        let line = self.line;
        self.put("network.transport", json!(transport(event)));
        if let Some(kind) = peek(line, "client.address").and_then(network_type) {
            self.put("network.type", json!(kind));
        }
        let asked = json!(BROWSER_PORT);
        let port = |end: &str| {
            let is_asked = event == "lookup" && end == "server";
            is_asked.then_some(&asked).or(line[end].get("port"))
        };
        if event == "lookup" {
            self.put("server.port", &asked);
        }
        if let Some((local, peer)) = ends(line) {
            for (end, [address, number]) in [
                (local, ["network.local.address", "network.local.port"]),
                (peer, ["network.peer.address", "network.peer.port"]),
            ] {
                let values = [(address, line[end].get("address")), (number, port(end))];
                for (name, value) in values {
                    if let Some(value) = value {
                        self.put(name, value);
                    }
                }
            }
        }
        // The server's name, where the client said it in TLS, is its address.
        if let Some(name) = peek(line, "tls.sni") {
            self.put("server.address", name);
        }
    }

    fn database(&mut self) {
        let line = self.line;
        self.put("db.system.name", json!("microsoft.sql_server"));
        if let Some(number) = peek(line, "login.error.number") {
            self.put("db.response.status_code", json!(number.to_string()));
        }
        if let Some(database) = database(line) {
            let instance = peek(line, "server.instance").and_then(Value::as_str);
            let namespace = match instance {
                Some(instance) => format!("{instance}|{database}"),
                None => database.to_owned(),
            };
            self.put("db.namespace", json!(namespace));
        }
    }

    /// All that is not told yet, `path` the name of this value. An attribute's value is a scalar or a list of scalars:
    /// objects become several attributes, and lists of objects their JSON text.
    fn all(&mut self, value: &Value, event: &str, path: &mut String) {
        if let Value::Object(fields) = value {
            let length = path.len();
            for (name, value) in fields {
                if length > OWN.len() {
                    path.push('.');
                }
                path.push_str(name);
                self.all(value, event, path);
                path.truncate(length);
            }
            return;
        }
        let native = &path[OWN.len()..];
        match native {
            // All these are told already under other names.
            "event" | "severity" | "tls.sni" => return,
            "server.port" if event == "lookup" => return,
            // Its IP address is then the network peer's, or keeps its own name where it is not known which end that is.
            "server.address" if peek(self.line, "tls.sni").is_some() => {
                if ends(self.line).is_none() {
                    self.put(path, value);
                }
                return;
            }
            "login.database" | "server.instance" if database(self.line).is_some() => return,
            _ => {}
        }
        match value {
            Value::Array(items) if items.iter().any(Value::is_object) => {
                self.put(path, json!(value.to_string()));
            }
            value => self.put(NAMES.get(native).copied().unwrap_or(path), value),
        }
    }
}

/// Which end is on this host, and which is not.
fn ends(line: &Value) -> Option<(&'static str, &'static str)> {
    match peek(line, "connection.vantage")?.as_str()? {
        "client" => Some(("client", "server")),
        "server" => Some(("server", "client")),
        _ => None,
    }
}

fn database(line: &Value) -> Option<&str> {
    peek(line, "login.database")?.as_str()
}

/// What went wrong: the server's own number where it gave one, else how the login, lookup or attempt ended, or
/// why logins of an incident did.
fn error(line: &Value) -> Option<Value> {
    if login_failed(line) == Some(true) {
        let number = peek(line, "login.error.number");
        return number
            .map(|number| json!(number.to_string()))
            .or_else(|| peek(line, "login.outcome").cloned());
    }
    if attempt_failed(line) == Some(true) {
        return peek(line, "attempt.outcome").cloned();
    }
    let lookup = peek(line, "lookup.outcome").filter(|outcome| *outcome != "answered");
    peek(line, "incident.cause").or(lookup).cloned()
}

fn file_name(path: &Value) -> Option<Value> {
    let name = path.as_str()?.rsplit('/').next()?;
    (!name.is_empty()).then(|| json!(name))
}

#[cfg(test)]
mod tests {
    use insta::assert_json_snapshot;

    use super::rename;
    use crate::record::samples;

    #[test]
    fn a_login_in_the_names_of_opentelemetry() {
        assert_json_snapshot!(rename(&samples::value(&samples::login())));
    }

    #[test]
    fn a_login_that_the_server_refused_has_its_number_as_the_error_type() {
        let renamed = rename(&samples::value(&samples::failed()));
        assert_eq!(renamed["error.type"], "18456");
        assert_eq!(renamed["severity_number"], 17);
        assert_eq!(renamed["event_name"], "tds_tracer.login");
    }

    #[test]
    fn an_incident_has_its_cause_as_the_error_type() {
        let renamed = rename(&samples::value(&samples::incident()));
        assert_eq!(renamed["error.type"], "server_threads_exhausted");
        assert_eq!(renamed["event_name"], "tds_tracer.incident");
        assert_eq!(renamed["tds_tracer.incident.logins"], 63);
    }

    #[test]
    fn a_login_that_went_well_has_no_error_type_though_the_server_said_something() {
        let renamed = rename(&samples::value(&samples::login()));
        assert!(renamed.get("error.type").is_none());
    }

    #[test]
    fn the_name_that_the_client_asked_for_is_the_servers_address() {
        let renamed = rename(&samples::value(&samples::login()));
        assert_eq!(renamed["server.address"], "sql1.lab.test");
        assert_eq!(renamed["network.peer.address"], "10.77.0.2");

        let mut line = samples::value(&samples::login());
        line["connection"]["vantage"] = "transit".into();
        let renamed = rename(&line);
        assert_eq!(renamed["tds_tracer.server.address"], "10.77.0.2");
    }

    #[test]
    fn a_lookup_is_asked_at_sql_browsers_port() {
        let renamed = rename(&samples::value(&samples::lookup()));
        assert_eq!(renamed["server.port"], 1434);
        assert_eq!(renamed["tds_tracer.lookup.answer.port"], 57139);
    }

    #[test]
    fn every_attribute_is_a_scalar_or_a_list_of_scalars() {
        for record in samples::all() {
            let renamed = rename(&samples::value(&record));
            for (name, value) in renamed.as_object().expect("an object") {
                let items = value.as_array().map_or(&[][..], Vec::as_slice);
                let flat = !value.is_object() && items.iter().all(|item| !item.is_object());
                assert!(flat, "{name}: {value}");
            }
        }
    }

    #[test]
    fn a_refused_login_names_its_outcome_as_the_error_type() {
        let renamed = rename(&samples::value(&samples::refused()));
        assert_eq!(renamed["error.type"], "refused");
        assert_eq!(renamed["network.type"], "ipv6");
        assert!(renamed.get("db.namespace").is_none());
    }
}
