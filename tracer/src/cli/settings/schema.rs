//! The JSON Schema of the files, for editors: from the same definition that the command line has.

use clap::{Arg, Command};
use serde_json::{Map, Value, json};

use super::definition::{is_list, is_switch, settable};
use crate::cli::sinks::KINDS;

/// What a file may say.
pub(in crate::cli) fn schema(options: &Command) -> String {
    let properties: Map<String, Value> = settable(options)
        .map(|(name, arg)| (name.to_owned(), property(arg)))
        .collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of tds-tracer",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    format!("{schema:#}\n")
}

/// Keys and values of one sink, or the same as one text; which keys there are depends on its kind.
fn table() -> Value {
    let value = json!({ "type": ["string", "number", "boolean"] });
    json!({ "anyOf": [
        { "type": "string" },
        {
            "type": "object",
            "properties": { "kind": { "enum": KINDS } },
            "required": ["kind"],
            "additionalProperties": {
                "anyOf": [value, { "type": "array", "items": value }],
            },
        },
    ] })
}

fn property(arg: &Arg) -> Value {
    let mut one = if is_switch(arg) {
        json!({ "type": "boolean" })
    } else {
        let words = arg.get_possible_values();
        let names: Vec<&str> = words
            .iter()
            .map(clap::builder::PossibleValue::get_name)
            .collect();
        if names.is_empty() {
            json!({ "type": ["string", "number"] })
        } else {
            json!({ "enum": names })
        }
    };
    if arg.get_long() == Some("sink") {
        one = table();
    }
    if is_list(arg) {
        one = json!({ "anyOf": [one, { "type": "array", "items": one }] });
    }
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    one["description"] = Value::from(help);
    let default = arg.get_default_values();
    if let [default] = default
        && !is_switch(arg)
    {
        one["default"] = Value::from(default.to_string_lossy());
    }
    one
}
