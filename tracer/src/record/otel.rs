//! The stream in OpenTelemetry's names: attributes by their dotted names, one flat object a line.
//!
//! What the semantic conventions have no name for keeps its own, below `tds_tracer.`.

use serde_json::{Map, Value, json};

use super::rename::{Renaming, login_succeeded, network_type, transport};

/// Native path and OpenTelemetry attribute, where a value moves as it is.
const MOVED: [(&str, &str); 21] = [
    ("timestamp", "timestamp"),
    ("host.name", "host.name"),
    ("client.address", "client.address"),
    ("client.port", "client.port"),
    ("server.address", "server.address"),
    ("server.port", "server.port"),
    ("connection.interface", "network.interface.name"),
    ("process.pid", "process.pid"),
    ("process.executable", "process.executable.path"),
    ("process.name", "process.executable.name"),
    ("process.cgroup", "process.linux.cgroup"),
    ("process.container_id", "container.id"),
    ("tls.version", "tls.protocol.version"),
    ("tls.cipher", "tls.cipher"),
    ("tls.resumed", "tls.resumed"),
    ("tls.sni", "tls.client.server_name"),
    ("tls.alpn", "tls.next_protocol"),
    ("tls.certificate.subject", "tls.server.subject"),
    ("tls.certificate.issuer", "tls.server.issuer"),
    ("tls.certificate.not_after", "tls.server.not_after"),
    ("login.user", "user.name"),
];

/// A native line in OpenTelemetry's names.
pub fn rename(line: Value) -> Value {
    let mut native = Renaming::new(line);
    let mut attributes = Map::new();
    let event = native.take("event").unwrap_or_default();
    let event = event.as_str().unwrap_or_default();
    attributes.insert(
        "event.name".to_owned(),
        json!(format!("tds_tracer.{event}")),
    );
    if native.peek("client").is_some() {
        add_network(&native, event, &mut attributes);
    }
    if native.peek("login").is_some() {
        add_database(&mut native, &mut attributes);
    }
    if let Some(complete) = native.peek("phases.tls.complete") {
        attributes.insert("tls.established".to_owned(), complete.clone());
    }
    for (from, to) in MOVED {
        if let Some(value) = native.take(from) {
            attributes.insert(to.to_owned(), value);
        }
    }
    for (name, value) in native.rest() {
        flatten(&format!("tds_tracer.{name}"), value, &mut attributes);
    }
    Value::Object(attributes)
}

fn add_network(native: &Renaming, event: &str, attributes: &mut Map<String, Value>) {
    attributes.insert("network.transport".to_owned(), json!(transport(event)));
    if let Some(kind) = native.peek("client.address").and_then(network_type) {
        attributes.insert("network.type".to_owned(), json!(kind));
    }
    let vantage = native.peek("connection.vantage").and_then(Value::as_str);
    let (local, peer) = match vantage {
        Some("client") => ("client", "server"),
        Some("server") => ("server", "client"),
        _ => return,
    };
    for (role, side) in [("local", local), ("peer", peer)] {
        for field in ["address", "port"] {
            if let Some(value) = native.peek(&format!("{side}.{field}")) {
                attributes.insert(format!("network.{role}.{field}"), value.clone());
            }
        }
    }
}

fn add_database(native: &mut Renaming, attributes: &mut Map<String, Value>) {
    attributes.insert("db.system.name".to_owned(), json!("microsoft.sql_server"));
    let outcome = native.peek("login.outcome").and_then(Value::as_str);
    if let Some(outcome) = outcome.filter(|outcome| login_succeeded(outcome) == Some(false)) {
        attributes.insert("error.type".to_owned(), json!(outcome));
    }
    if let Some(number) = native.take("login.error.number") {
        attributes.insert(
            "db.response.status_code".to_owned(),
            json!(number.to_string()),
        );
    }
    if let Some(Value::String(database)) = native.take("login.database") {
        let instance = native.take("server.instance");
        let namespace = match instance.as_ref().and_then(Value::as_str) {
            Some(instance) => format!("{instance}|{database}"),
            None => database,
        };
        attributes.insert("db.namespace".to_owned(), json!(namespace));
    }
}

fn flatten(name: &str, value: Value, attributes: &mut Map<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten(&format!("{name}.{field}"), value, attributes);
            }
        }
        value => {
            attributes.insert(name.to_owned(), value);
        }
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
    fn a_refused_login_names_its_outcome_as_the_error_type() {
        let renamed = rename(samples::value(&samples::refused()));
        assert_eq!(renamed["error.type"], "refused");
        assert_eq!(renamed["network.type"], "ipv6");
        assert!(renamed.get("db.namespace").is_none());
    }
}
