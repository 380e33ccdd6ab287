//! Moving values from one name to another, for the renamings at the edge.

use std::{net::IpAddr, ops::Deref};

use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use super::Timestamp;

/// Where SQL Browser is asked, UDP (MC-SQLR 1.5).
pub(super) const BROWSER_PORT: u16 = 1434;

/// A line being renamed: what is left of the native one, and what became of the rest.
pub(super) struct Renaming {
    left: Value,
}

impl Renaming {
    pub(super) fn new(line: Value) -> Self {
        Self { left: line }
    }

    /// Reads a native value by its dotted path and leaves it where it is.
    pub(super) fn peek(&self, path: &str) -> Option<&Value> {
        peek(&self.left, path)
    }

    /// Takes a native value out by its dotted path.
    pub(super) fn take(&mut self, path: &str) -> Option<Value> {
        take(&mut self.left, path)
    }

    /// What was not taken, without the objects that taking has emptied.
    pub(super) fn rest(mut self) -> Map<String, Value> {
        prune(&mut self.left);
        match self.left {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}

/// What is left can be asked as a line can.
impl Deref for Renaming {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.left
    }
}

/// Reads a value by its dotted path.
pub(super) fn peek<'a>(from: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(from, |value, name| value.get(name))
}

/// Takes a value out by its dotted path.
pub(super) fn take(from: &mut Value, path: &str) -> Option<Value> {
    let (parents, name) = path.rsplit_once('.').unwrap_or(("", path));
    let mut names = parents.split('.').filter(|name| !name.is_empty());
    let parent = names.try_fold(from, |value, name| value.get_mut(name));
    parent?.as_object_mut()?.remove(name)
}

fn prune(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.values_mut().for_each(prune);
        fields.retain(|_, field| field.as_object().is_none_or(|object| !object.is_empty()));
    }
}

/// `ipv4` or `ipv6`, by the look of an address that was written by the standard library.
pub(super) fn network_type(address: &Value) -> Option<&'static str> {
    Some(if address.as_str()?.contains(':') {
        "ipv6"
    } else {
        "ipv4"
    })
}

/// Of a lookup, both schemas' port of the server is the one that was asked. The one that was announced
/// stays among the answer.
pub(super) fn name_asked_port(line: &mut Value) {
    if line["event"] == "lookup" {
        line["server"]["port"] = BROWSER_PORT.into();
    }
}

/// `udp` for what goes to the SQL Browser, else `tcp`.
pub(super) fn transport(event: &str) -> &'static str {
    if event == "lookup" { "udp" } else { "tcp" }
}

/// Whether the login failed; nothing where there is none, or nobody can say.
pub(super) fn login_failed(line: &Value) -> Option<bool> {
    match peek(line, "login.outcome")?.as_str()? {
        "success" | "redirected" => Some(false),
        "unknown" => None,
        // A probe, and a peer that does not speak TDS, has not failed to log in by leaving.
        "aborted" if peek(line, "login.stranger").is_some() => None,
        // One that lost a race to another of the same attempt has not either.
        _ if peek(line, "login.loser") == Some(&json!(true)) => None,
        _ => Some(true),
    }
}

/// Whether the attempt failed; nothing where there is none, or nobody can say.
pub(super) fn attempt_failed(line: &Value) -> Option<bool> {
    let is_login = |part: &Value| part["kind"] == "login";
    match peek(line, "attempt.outcome")?.as_str()? {
        "success" | "redirected" => Some(false),
        "unknown" => None,
        // As of a login: who said nothing of TDS has not failed by leaving.
        "aborted" => {
            let parts = peek(line, "attempt.parts")?.as_array()?;
            parts.iter().any(is_login).then_some(true)
        }
        _ => Some(true),
    }
}

/// The moment so many nanoseconds before another.
pub(super) fn earlier(moment: &Value, nanoseconds: &Value) -> Option<Value> {
    let moment: jiff::Timestamp = moment.as_str()?.parse().ok()?;
    let back = SignedDuration::from_nanos(nanoseconds.as_i64()?);
    let earlier = moment.checked_sub(back).ok()?;
    Some(json!(Timestamp::from_nanoseconds(earlier.as_nanosecond())))
}

/// The host in the server's name as a client spells it: `tcp:host\instance,port`. Nothing of an
/// address, and of names that mean this host.
pub(super) fn host_of(server_name: &str) -> Option<&str> {
    let address = |name: &str| name.parse::<IpAddr>().is_ok();
    let name = server_name.split([',', '\\']).next()?.trim();
    if address(name) {
        return None;
    }
    let host = name.rsplit_once(':').map_or(name, |(_protocol, host)| host);
    let is_name = !host.is_empty() && !address(host) && ![".", "(local)"].contains(&host);
    is_name.then_some(host)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{earlier, host_of};

    #[test]
    fn a_server_name_may_have_a_protocol_an_instance_and_a_port() {
        for (name, host) in [
            ("sql1.lab.test,1433", Some("sql1.lab.test")),
            ("tcp:sql1.lab.test,1433", Some("sql1.lab.test")),
            ("SQL1\\INST", Some("SQL1")),
            ("10.0.0.1,1433", None),
            ("tcp:10.0.0.1", None),
            ("fd00::1", None),
            (".", None),
            ("(local)\\INST", None),
            ("", None),
        ] {
            assert_eq!(host_of(name), host, "{name}");
        }
    }

    #[test]
    fn a_moment_before_another_keeps_its_nine_digits() {
        let moment = json!("2026-11-22T19:45:26.077542569Z");
        let before = json!("2026-11-22T19:45:26.000000000Z");
        assert_eq!(earlier(&moment, &json!(77_542_569)), Some(before));
        assert_eq!(earlier(&json!("soon"), &json!(1)), None);
    }
}
