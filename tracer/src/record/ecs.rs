//! The stream in the names of the Elastic Common Schema.
//!
//! What ECS has no name for keeps its own, below `tds_tracer`.

use serde_json::{Map, Value, json};

use super::rename::{Renaming, login_succeeded, network_type, transport};

/// The version of ECS whose names these are.
const ECS_VERSION: &str = "8.17.0";

/// Native path and ECS field, where a value moves as it is.
const MOVED: [(&str, &str); 25] = [
    ("timestamp", "@timestamp"),
    ("host.name", "host.name"),
    ("client.address", "source.ip"),
    ("client.port", "source.port"),
    ("server.address", "destination.ip"),
    ("server.port", "destination.port"),
    ("tcp.bytes.client", "source.bytes"),
    ("tcp.bytes.server", "destination.bytes"),
    ("tcp.packets.client", "source.packets"),
    ("tcp.packets.server", "destination.packets"),
    ("connection.community_id", "network.community_id"),
    ("connection.start", "event.start"),
    ("process.pid", "process.pid"),
    ("process.name", "process.name"),
    ("process.executable", "process.executable"),
    ("process.container_id", "container.id"),
    ("tls.version", "tls.version"),
    ("tls.cipher", "tls.cipher"),
    ("tls.resumed", "tls.resumed"),
    ("tls.sni", "tls.client.server_name"),
    ("tls.alpn", "tls.next_protocol"),
    ("tls.certificate.subject", "tls.server.subject"),
    ("tls.certificate.issuer", "tls.server.issuer"),
    ("tls.certificate.not_after", "tls.server.not_after"),
    ("login.user", "user.name"),
];

/// A native line in the names of ECS.
pub fn rename(line: Value) -> Value {
    let mut native = Renaming::new(line);
    let mut fields = Map::new();
    let event = native.take("event").unwrap_or_default();
    let event = event.as_str().unwrap_or_default();
    put(&mut fields, "ecs.version", json!(ECS_VERSION));
    add_event(&mut native, event, &mut fields);
    if native.peek("client").is_some() {
        add_network(&native, event, &mut fields);
    }
    if native.peek("tls").is_some() {
        put(&mut fields, "tls.version_protocol", json!("tls"));
    }
    if let Some(complete) = native.peek("phases.tls.complete") {
        put(&mut fields, "tls.established", complete.clone());
    }
    if let Some(number) = native.take("login.error.number") {
        put(&mut fields, "error.code", json!(number.to_string()));
    }
    for (from, to) in MOVED {
        if let Some(value) = native.take(from) {
            put(&mut fields, to, value);
        }
    }
    put(&mut fields, "tds_tracer", Value::Object(native.rest()));
    Value::Object(fields)
}

fn add_event(native: &mut Renaming, event: &str, fields: &mut Map<String, Value>) {
    put(fields, "event.kind", json!("event"));
    put(fields, "event.dataset", json!("tds_tracer.events"));
    put(fields, "event.action", json!(event));
    if native.peek("client").is_some() {
        put(fields, "event.category", json!(["network", "database"]));
        put(fields, "event.type", json!(event_type(event)));
    }
    if event == "close"
        && let Some(timestamp) = native.peek("timestamp")
    {
        put(fields, "event.end", timestamp.clone());
    }
    if let Some(duration) = native.take(&format!("{event}.duration_ns")) {
        put(fields, "event.duration", duration);
    }
    if let Some(outcome) = native.peek("login.outcome").and_then(Value::as_str) {
        let outcome = match login_succeeded(outcome) {
            Some(true) => "success",
            Some(false) => "failure",
            None => "unknown",
        };
        put(fields, "event.outcome", json!(outcome));
    }
}

fn event_type(event: &str) -> &'static [&'static str] {
    match event {
        "login" => &["connection", "start"],
        "close" => &["connection", "end"],
        _ => &["connection", "protocol"],
    }
}

fn add_network(native: &Renaming, event: &str, fields: &mut Map<String, Value>) {
    put(fields, "network.transport", json!(transport(event)));
    let protocol = if event == "lookup" { "mc-sqlr" } else { "tds" };
    put(fields, "network.protocol", json!(protocol));
    if let Some(kind) = native.peek("client.address").and_then(network_type) {
        put(fields, "network.type", json!(kind));
    }
    let direction = match native.peek("connection.vantage").and_then(Value::as_str) {
        Some("client") => "egress",
        Some("server") => "ingress",
        _ => return,
    };
    put(fields, "network.direction", json!(direction));
}

/// Puts a value at a dotted path, making the objects on the way.
fn put(fields: &mut Map<String, Value>, path: &str, value: Value) {
    let Some((first, rest)) = path.split_once('.') else {
        fields.insert(path.to_owned(), value);
        return;
    };
    let child = fields
        .entry(first)
        .or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(child) = child {
        put(child, rest, value);
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_json_snapshot;

    use super::rename;
    use crate::record::samples;

    #[test]
    fn a_login_in_the_names_of_ecs() {
        assert_json_snapshot!(rename(samples::value(&samples::login())));
    }

    #[test]
    fn a_refused_login_is_a_failure() {
        let renamed = rename(samples::value(&samples::refused()));
        assert_eq!(renamed["event"]["outcome"], "failure");
        assert_eq!(renamed["destination"]["port"], 1433);
    }

    #[test]
    fn what_the_agent_says_of_itself_is_no_network_event() {
        let renamed = rename(samples::value(&samples::agent()));
        assert!(renamed["event"].get("category").is_none());
        assert_eq!(renamed["tds_tracer"]["agent"]["action"], "start");
    }
}
