//! The JSON Schema of a line, derived from the types that are serialised. The agent carries the checked-in copy: this is
//! built only with the feature `schema`, which the tests ask for.

use std::borrow::Cow;

use schemars::{
    JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema,
    transform::RecursiveTransform,
};
use serde_json::{Value, json};

use super::{
    ids::{AttemptId, ConnectionId, IncidentId, RunId},
    line::Line,
    values::{Calendar, Confidence, Count, MAX_SAFE_INTEGER, Nanos, Text, Timestamp},
    written::Written,
};

/// The JSON Schema (draft 2020-12) of every line in the project's own names.
pub fn schema() -> Schema {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with_transform(RecursiveTransform(refuse_null));
    settings
        .into_generator()
        .into_root_schema_for::<Line<'static>>()
}

/// The schema as it is checked in: indented, with a newline at its end.
pub fn schema_text() -> String {
    format!("{:#}\n", schema().as_value())
}

/// What is unknown is left out, so no value is ever null, though schemars says so of an `Option`.
fn refuse_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else {
        return;
    };
    choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        object.extend(only);
    }
}

/// Of a decided login the outcome is always said, and how it is known.
pub(super) fn require_outcome(schema: &mut Schema) {
    if let Some(login) = schema.pointer_mut("/properties/login")
        && let Some(login) = login.as_object_mut()
    {
        login.insert("required".to_owned(), json!(["outcome", "basis"]));
    }
}

/// The schema of types that write themselves, each by its own name.
macro_rules! written_as {
    ($($name:ident),+ => $schema:tt) => {
        $(impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        })+
    };
}

written_as!(Nanos, Count => {
    "description": "An integer, or beyond 2^53 its digits as a string.",
    "anyOf": [
        { "type": "integer", "minimum": 0, "maximum": MAX_SAFE_INTEGER },
        { "type": "string", "pattern": "^[0-9]{16,20}$" }
    ]
});
written_as!(Timestamp, Calendar => {
    "description": "RFC 3339 in UTC, nine digits of a second.",
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{9}Z$"
});
written_as!(Confidence => { "type": "number", "minimum": 0, "maximum": 1 });
written_as!(Text => { "type": "string", "maxLength": Text::MAX_CHARS });
written_as!(AttemptId, ConnectionId, IncidentId, RunId => { "type": "string", "pattern": "^[0-9a-f]{16}$" });

/// That of what is written.
impl<T: JsonSchema> JsonSchema for Written<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use serde_json::{Value, json};

    use super::{schema, schema_text};
    use crate::record::{Body, samples};

    fn validator(schema: &Value) -> jsonschema::Validator {
        jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .build(schema)
            .expect("a schema that compiles")
    }

    fn line(record: &crate::record::Record) -> Value {
        let mut out = Vec::new();
        record.to_line("sql1", &mut out).expect("a line");
        serde_json::from_slice(&out).expect("JSON")
    }

    #[test]
    fn the_checked_in_schema_is_the_one_the_types_give() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema.json");
        let checked_in = fs::read_to_string(path).expect("docs/schema.json");
        assert!(
            checked_in == schema_text(),
            "docs/schema.json is out of date: run `cargo xtask schema --write`"
        );
    }

    #[test]
    fn every_sample_is_valid_and_says_nothing_the_schema_does_not_describe() {
        let mut strict = schema().to_value();
        strict["unevaluatedProperties"] = json!(false);
        for definition in strict["$defs"]
            .as_object_mut()
            .expect("definitions")
            .values_mut()
        {
            close_nested(definition);
        }
        let strict = validator(&strict);
        for record in samples::all() {
            let line = line(&record);
            let errors: Vec<_> = strict.iter_errors(&line).map(|e| e.to_string()).collect();
            assert!(errors.is_empty(), "{errors:#?}\n{line:#}");
        }
    }

    /// Closes every object that hangs in a property, where no other schema adds to it.
    fn close_nested(definition: &mut Value) {
        let Some(properties) = definition
            .get_mut("properties")
            .and_then(Value::as_object_mut)
        else {
            return;
        };
        for property in properties.values_mut() {
            let object = property.as_object_mut();
            if let Some(object) = object.filter(|object| object.contains_key("$ref")) {
                object.insert("unevaluatedProperties".to_owned(), json!(false));
            }
        }
    }

    #[test]
    fn a_renamed_field_a_null_and_an_unknown_event_are_refused() {
        let validator = validator(schema().as_value());
        let good = line(&samples::login());
        assert!(validator.is_valid(&good));

        let mut renamed = good.clone();
        let login = renamed["login"].as_object_mut().expect("an object");
        let outcome = login.remove("outcome").expect("an outcome");
        login.insert("result".to_owned(), outcome);
        assert!(!validator.is_valid(&renamed));

        let mut null = good.clone();
        null["tds"]["spid"] = Value::Null;
        assert!(!validator.is_valid(&null));

        let mut unknown = good;
        unknown["event"] = json!("logout");
        assert!(!validator.is_valid(&unknown));
    }

    #[test]
    fn the_full_samples_use_every_name_that_the_contract_lists() {
        let Body::Close(close) = samples::close().body else {
            unreachable!("a close")
        };
        let value = serde_json::to_value(&*close).expect("JSON");
        for group in [
            "connection",
            "client",
            "server",
            "process",
            "tcp",
            "tds",
            "tls",
            "auth",
            "login",
            "phases",
            "mars",
            "requests",
            "close",
            "diagnosis",
        ] {
            assert!(value.get(group).is_some(), "{group} is missing");
        }
    }
}
