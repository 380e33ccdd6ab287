//! The stream in OpenTelemetry's names: one flat object a line. The log record's own fields are
//! `timestamp`, `event_name`, `severity_number` and `severity_text`; all others are attributes by
//! their dotted names.
//!
//! What the semantic conventions have no name for keeps its own, below `tds_tracer.`.

use serde_json::{Map, Value, json};

use super::rename::{
    Renaming, attempt_failed, login_failed, name_asked_port, network_type, transport,
};

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

/// A native line in OpenTelemetry's names.
pub fn rename(mut line: Value) -> Value {
    name_asked_port(&mut line);
    let mut native = Renaming::new(line);
    let mut attributes = Map::new();
    let event = native.take("event").unwrap_or_default();
    let event = event.as_str().unwrap_or_default();
    add_record_fields(&mut native, event, &mut attributes);
    if native.peek("client").is_some() {
        add_network(&native, event, &mut attributes);
        add_server_name(&mut native, &mut attributes);
    }
    if native.peek("login").is_some() {
        add_database(&mut native, &mut attributes);
    }
    add_error(&native, &mut attributes);
    if native.peek("tls").is_some() {
        put(&mut attributes, "tls.protocol.name", json!("tls"));
    }
    if let Some(complete) = native.peek("phases.tls.complete") {
        put(&mut attributes, "tls.established", complete.clone());
    }
    if let Some(name) = native.peek("process.executable").and_then(file_name) {
        put(&mut attributes, "process.executable.name", name);
    }
    for (from, to) in MOVED {
        if let Some(value) = native.take(from) {
            put(&mut attributes, to, value);
        }
    }
    for (name, value) in native.rest() {
        flatten(&format!("tds_tracer.{name}"), value, &mut attributes);
    }
    Value::Object(attributes)
}

fn put(attributes: &mut Map<String, Value>, name: &str, value: Value) {
    attributes.insert(name.to_owned(), value);
}

/// The log record's fields besides its time (Logs Data Model, `EventName` and Severity Fields).
fn add_record_fields(native: &mut Renaming, event: &str, attributes: &mut Map<String, Value>) {
    let name = format!("tds_tracer.{event}");
    put(attributes, "event_name", json!(name));
    let severity = native.take("severity").unwrap_or_default();
    let (number, text) = match severity.as_str() {
        Some("error") => (17, "ERROR"),
        Some("warn") => (13, "WARN"),
        _ => (9, "INFO"),
    };
    put(attributes, "severity_number", json!(number));
    put(attributes, "severity_text", json!(text));
}

fn add_network(native: &Renaming, event: &str, attributes: &mut Map<String, Value>) {
    put(attributes, "network.transport", json!(transport(event)));
    if let Some(kind) = native.peek("client.address").and_then(network_type) {
        put(attributes, "network.type", json!(kind));
    }
    let Some((local, peer)) = local_and_peer(native) else {
        return;
    };
    for (role, side) in [("local", local), ("peer", peer)] {
        for field in ["address", "port"] {
            if let Some(value) = native.peek(&format!("{side}.{field}")) {
                put(
                    attributes,
                    &format!("network.{role}.{field}"),
                    value.clone(),
                );
            }
        }
    }
}

/// Which end is on this host, and which is not.
fn local_and_peer(native: &Renaming) -> Option<(&'static str, &'static str)> {
    match native.peek("connection.vantage")?.as_str()? {
        "client" => Some(("client", "server")),
        "server" => Some(("server", "client")),
        _ => None,
    }
}

/// The server's name, where the client said it in TLS, is its address; its IP address is then the
/// network peer's, or keeps its own name where it is not known which end that is.
fn add_server_name(native: &mut Renaming, attributes: &mut Map<String, Value>) {
    let Some(name) = native.take("tls.sni") else {
        return;
    };
    let is_told = local_and_peer(native).is_some();
    if let Some(address) = native.take("server.address").filter(|_| !is_told) {
        put(attributes, "tds_tracer.server.address", address);
    }
    put(attributes, "server.address", name);
}

fn add_database(native: &mut Renaming, attributes: &mut Map<String, Value>) {
    put(attributes, "db.system.name", json!("microsoft.sql_server"));
    if let Some(number) = native.peek("login.error.number") {
        let number = json!(number.to_string());
        put(attributes, "db.response.status_code", number);
    }
    if let Some(Value::String(database)) = native.take("login.database") {
        let instance = native.take("server.instance");
        let namespace = match instance.as_ref().and_then(Value::as_str) {
            Some(instance) => format!("{instance}|{database}"),
            None => database,
        };
        put(attributes, "db.namespace", json!(namespace));
    }
}

/// What went wrong: the server's own number where it gave one, else how the login, lookup or attempt ended, or
/// why logins of an incident did.
fn add_error(native: &Renaming, attributes: &mut Map<String, Value>) {
    let lookup = native.peek("lookup.outcome");
    let failed_lookup = lookup.filter(|outcome| *outcome != "answered");
    let error = if login_failed(native) == Some(true) {
        let number = native.peek("login.error.number");
        number
            .map(|number| json!(number.to_string()))
            .or_else(|| native.peek("login.outcome").cloned())
    } else if attempt_failed(native) == Some(true) {
        native.peek("attempt.outcome").cloned()
    } else if let Some(cause) = native.peek("incident.cause") {
        Some(cause.clone())
    } else {
        failed_lookup.cloned()
    };
    if let Some(error) = error {
        put(attributes, "error.type", error);
    }
}

fn file_name(path: &Value) -> Option<Value> {
    let name = path.as_str()?.rsplit('/').next()?;
    (!name.is_empty()).then(|| json!(name))
}

/// An attribute's value is a scalar or a list of scalars: objects become several attributes, and
/// lists of objects their JSON text.
fn flatten(name: &str, value: Value, attributes: &mut Map<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten(&format!("{name}.{field}"), value, attributes);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let text = Value::Array(items).to_string();
            put(attributes, name, json!(text));
        }
        value => put(attributes, name, value),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_json_snapshot;

    use super::rename;
    use crate::record::samples;

    #[test]
    fn a_login_in_the_names_of_opentelemetry() {
        assert_json_snapshot!(rename(samples::value(&samples::login())));
    }

    #[test]
    fn a_login_that_the_server_refused_has_its_number_as_the_error_type() {
        let renamed = rename(samples::value(&samples::failed()));
        assert_eq!(renamed["error.type"], "18456");
        assert_eq!(renamed["severity_number"], 17);
        assert_eq!(renamed["event_name"], "tds_tracer.login");
    }

    #[test]
    fn an_incident_has_its_cause_as_the_error_type() {
        let renamed = rename(samples::value(&samples::incident()));
        assert_eq!(renamed["error.type"], "server_threads_exhausted");
        assert_eq!(renamed["event_name"], "tds_tracer.incident");
        assert_eq!(renamed["tds_tracer.incident.logins"], 63);
    }

    #[test]
    fn a_login_that_went_well_has_no_error_type_though_the_server_said_something() {
        let renamed = rename(samples::value(&samples::login()));
        assert!(renamed.get("error.type").is_none());
    }

    #[test]
    fn the_name_that_the_client_asked_for_is_the_servers_address() {
        let renamed = rename(samples::value(&samples::login()));
        assert_eq!(renamed["server.address"], "sql1.lab.test");
        assert_eq!(renamed["network.peer.address"], "10.77.0.2");

        let mut line = samples::value(&samples::login());
        line["connection"]["vantage"] = "transit".into();
        let renamed = rename(line);
        assert_eq!(renamed["tds_tracer.server.address"], "10.77.0.2");
    }

    #[test]
    fn a_lookup_is_asked_at_sql_browsers_port() {
        let renamed = rename(samples::value(&samples::lookup()));
        assert_eq!(renamed["server.port"], 1434);
        assert_eq!(renamed["tds_tracer.lookup.answer.port"], 57139);
    }

    #[test]
    fn every_attribute_is_a_scalar_or_a_list_of_scalars() {
        for record in samples::all() {
            let renamed = rename(samples::value(&record));
            for (name, value) in renamed.as_object().expect("an object") {
                let items = value.as_array().map_or(&[][..], Vec::as_slice);
                let flat = !value.is_object() && items.iter().all(|item| !item.is_object());
                assert!(flat, "{name}: {value}");
            }
        }
    }

    #[test]
    fn a_refused_login_names_its_outcome_as_the_error_type() {
        let renamed = rename(samples::value(&samples::refused()));
        assert_eq!(renamed["error.type"], "refused");
        assert_eq!(renamed["network.type"], "ipv6");
        assert!(renamed.get("db.namespace").is_none());
    }
}
