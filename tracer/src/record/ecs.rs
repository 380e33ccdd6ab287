//! The stream in the names of the Elastic Common Schema.
//!
//! What ECS has no name for keeps its own, below `tds_tracer`.

use serde_json::{Map, Value, json};

use super::rename::{
    Renaming, attempt_failed, earlier, host_of, login_failed, name_asked_port, network_type,
    transport,
};

/// The version of ECS whose names these are.
const ECS_VERSION: &str = "8.17.0";

/// Native path and ECS field, where a value moves as it is.
const MOVED: [(&str, &str); 35] = [
    ("timestamp", "@timestamp"),
    ("host.name", "host.name"),
    ("severity", "log.level"),
    ("run_id", "agent.ephemeral_id"),
    ("line", "event.sequence"),
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
    ("process.container.name", "container.name"),
    ("process.container.image", "container.image.name"),
    ("process.container.runtime", "container.runtime"),
    ("process.k8s.namespace", "orchestrator.namespace"),
    ("process.k8s.pod", "orchestrator.resource.name"),
    ("tls.version", "tls.version"),
    ("tls.cipher", "tls.cipher"),
    ("tls.resumed", "tls.resumed"),
    ("tls.sni", "tls.client.server_name"),
    ("tls.alpn", "tls.next_protocol"),
    ("tls.certificate.subject", "tls.server.subject"),
    ("tls.certificate.issuer", "tls.server.issuer"),
    ("tls.certificate.not_before", "tls.server.not_before"),
    ("tls.certificate.not_after", "tls.server.not_after"),
    (
        "tls.certificate.subject_alt_names",
        "tls.server.x509.alternative_names",
    ),
    ("login.user", "user.name"),
];

/// A native line in the names of ECS.
pub fn rename(mut line: Value) -> Value {
    name_asked_port(&mut line);
    let mut native = Renaming::new(line);
    let mut fields = Map::new();
    let event = native.take("event").unwrap_or_default();
    let event = event.as_str().unwrap_or_default();
    put(&mut fields, "ecs.version", json!(ECS_VERSION));
    put(&mut fields, "agent.type", json!("tds-tracer"));
    add_event(&native, event, &mut fields);
    add_times(&mut native, event, &mut fields);
    if native.peek("client").is_some() {
        add_network(&native, event, &mut fields);
    }
    if native.peek("tls").is_some() {
        put(&mut fields, "tls.version_protocol", json!("tls"));
    }
    if let Some(complete) = native.peek("phases.tls.complete") {
        put(&mut fields, "tls.established", complete.clone());
    }
    if native.peek("process.k8s").is_some() {
        put(&mut fields, "orchestrator.type", json!("kubernetes"));
        put(&mut fields, "orchestrator.resource.type", json!("pod"));
    }
    if let Some(number) = native.take("login.error.number") {
        put(&mut fields, "error.code", json!(number.to_string()));
    }
    if let Some(uid) = native.take("process.uid") {
        put(&mut fields, "process.real_user.id", json!(uid.to_string()));
    }
    for (from, to) in MOVED {
        if let Some(value) = native.take(from) {
            put(&mut fields, to, value);
        }
    }
    put(&mut fields, "tds_tracer", Value::Object(native.rest()));
    Value::Object(fields)
}

fn add_event(native: &Renaming, event: &str, fields: &mut Map<String, Value>) {
    let kind = if event == "incident" {
        "alert"
    } else {
        "event"
    };
    put(fields, "event.kind", json!(kind));
    put(fields, "event.dataset", json!("tds_tracer.events"));
    put(fields, "event.action", json!(event));
    if native.peek("client").is_some() {
        put(fields, "event.category", json!(categories(event)));
        put(fields, "event.type", json!(event_type(event)));
    }
    if event == "incident" {
        put(fields, "event.category", json!(["database"]));
        put(fields, "event.type", json!(["error"]));
    }
    if let Some(outcome) = outcome(native) {
        put(fields, "event.outcome", json!(outcome));
    }
    let reason = match event {
        "close" => native.peek("close.class"),
        "attempt" if attempt_failed(native) == Some(true) => native.peek("attempt.outcome"),
        "login" if login_failed(native) == Some(true) => native.peek("login.outcome"),
        "incident" => native.peek("incident.cause"),
        "loss" => native.peek("loss.reason"),
        "agent" => native.peek("agent.reason"),
        _ => None,
    };
    if let Some(reason) = reason {
        put(fields, "event.reason", reason.clone());
    }
}

/// From when to when, and how long.
fn add_times(native: &mut Renaming, event: &str, fields: &mut Map<String, Value>) {
    let mut end = native.peek("timestamp").cloned().unwrap_or_default();
    let duration = native.take(&format!("{event}.duration_ns"));
    let start = native.take(&format!("{event}.start"));
    if event == "attempt"
        && let (Some(start), Some(whole)) = (&start, duration.as_ref().and_then(Value::as_i64))
    {
        // It is told when nothing can follow any more, which is later.
        end = earlier(start, &json!(-whole)).unwrap_or(end);
    }
    let start = start.or_else(|| earlier(&end, duration.as_ref()?));
    if let Some(start) = start {
        put(fields, "event.start", start);
    }
    if event == "incident" {
        // One that goes on has no end yet.
        if let Some(end) = native.take("incident.end") {
            put(fields, "event.end", end);
        }
    } else if duration.is_some() || ["login", "close"].contains(&event) {
        // What began with the connection is told so below.
        put(fields, "event.end", end);
    }
    if let Some(duration) = duration {
        put(fields, "event.duration", duration);
    }
}

fn outcome(native: &Renaming) -> Option<&'static str> {
    if let Some(lookup) = native.peek("lookup.outcome") {
        return Some(if lookup == "answered" {
            "success"
        } else {
            "failure"
        });
    }
    let (known, failed) = match native.peek("attempt.outcome") {
        Some(_) => (true, attempt_failed(native)),
        None => (native.peek("login.outcome").is_some(), login_failed(native)),
    };
    known.then_some(match failed {
        Some(false) => "success",
        Some(true) => "failure",
        None => "unknown",
    })
}

fn categories(event: &str) -> &'static [&'static str] {
    match event {
        "login" | "pending" => &["network", "authentication", "database"],
        _ => &["network", "database"],
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
    for what in ["bytes", "packets"] {
        let of = |side| native.peek(&format!("tcp.{what}.{side}"))?.as_u64();
        if let (Some(client), Some(server)) = (of("client"), of("server")) {
            let both = client.saturating_add(server);
            put(fields, &format!("network.{what}"), json!(both));
        }
    }
    let ends = ["client.address", "server.address"].map(|path| native.peek(path));
    put(fields, "related.ip", json!(ends));
    if let Some(name) = server_name(native) {
        put(fields, "destination.domain", json!(name));
    }
    let direction = match native.peek("connection.vantage").and_then(Value::as_str) {
        Some("client") => "egress",
        Some("server") => "ingress",
        _ => return,
    };
    put(fields, "network.direction", json!(direction));
}

/// The name that the client asked for in TLS, else the one it connected to by its own word.
fn server_name(native: &Renaming) -> Option<&str> {
    let sni = native.peek("tls.sni").and_then(Value::as_str);
    let login = || native.peek("login.server_name")?.as_str();
    sni.or_else(|| host_of(login()?))
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

    use serde_json::json;

    use super::{earlier, rename};
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
    fn a_login_is_an_authentication_too_and_says_from_when_to_when() {
        let renamed = rename(samples::value(&samples::failed()));
        let event = &renamed["event"];
        assert_eq!(
            event["category"],
            json!(["network", "authentication", "database"])
        );
        assert_eq!(event["reason"], "failed");
        assert_eq!(event["start"], "2026-11-22T19:45:26.077542569Z");
        assert_eq!(event["end"], renamed["@timestamp"]);
        assert_eq!(renamed["log"]["level"], "error");
        assert_eq!(renamed["related"]["ip"], json!(["10.77.0.1", "10.77.0.2"]));
        assert_eq!(renamed["network"]["bytes"], 5500);
    }

    #[test]
    fn what_did_not_begin_with_its_connection_began_its_duration_ago() {
        for record in [samples::phase(), samples::request(), samples::lookup()] {
            let event = &rename(samples::value(&record))["event"];
            let length = event["duration"].as_u64().expect("a duration");
            assert_eq!(
                earlier(&event["end"], &json!(length)).as_ref(),
                event.get("start")
            );
        }
    }

    #[test]
    fn an_attempt_ends_with_its_last_part_however_late_it_is_told() {
        let mut line = samples::value(&samples::attempt());
        line["timestamp"] = json!("2026-11-22T19:45:59.000000000Z");
        let event = &rename(line)["event"];
        assert_eq!(event["start"], "2026-11-22T19:45:26.077542569Z");
        assert_eq!(event["end"], "2026-11-22T19:45:26.087120440Z");
        assert_eq!(event["outcome"], "success");
    }

    #[test]
    fn an_incident_is_an_alert_that_ends_when_its_last_login_did() {
        let going_on = rename(samples::value(&samples::incident()));
        let event = &going_on["event"];
        assert_eq!(event["kind"], "alert");
        assert_eq!(event["reason"], "server_threads_exhausted");
        assert_eq!(event["start"], "2026-11-22T19:45:26.077542569Z");
        assert!(event.get("end").is_none(), "{event}");
        let over = rename(samples::value(&samples::incident_over()));
        assert_eq!(over["event"]["end"], "2026-11-22T19:46:40.277542569Z");
        assert_eq!(over["log"]["level"], "info");
    }

    #[test]
    fn a_lookups_destination_is_sql_browser_and_what_it_announced_is_beside() {
        let renamed = rename(samples::value(&samples::lookup()));
        assert_eq!(renamed["destination"]["port"], 1434);
        assert_eq!(renamed["network"]["transport"], "udp");
        assert_eq!(renamed["tds_tracer"]["lookup"]["answer"]["port"], 57139);
    }

    #[test]
    fn what_the_agent_says_of_itself_is_no_network_event() {
        let renamed = rename(samples::value(&samples::agent()));
        assert!(renamed["event"].get("category").is_none());
        assert_eq!(renamed["tds_tracer"]["agent"]["action"], "start");
    }
}
