//! Moving values from one name to another, for the renamings at the edge.

use serde_json::{Map, Value};

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
        path.split('.')
            .try_fold(&self.left, |value, name| value.get(name))
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

/// `udp` for what goes to the SQL Browser, else `tcp`.
pub(super) fn transport(event: &str) -> &'static str {
    if event == "lookup" { "udp" } else { "tcp" }
}

/// Whether the login did what its client wanted; nothing where that is unknown.
pub(super) fn login_succeeded(outcome: &str) -> Option<bool> {
    match outcome {
        "success" | "redirected" => Some(true),
        "unknown" => None,
        _ => Some(false),
    }
}
