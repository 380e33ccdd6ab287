//! JSON values as attributes.

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, KeyValue, KeyValueList, any_value,
};
use serde_json::{Map, Value};

/// An attribute.
pub(super) fn attribute(name: &str, value: &Value) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: any(value),
        ..KeyValue::default()
    }
}

/// All of them.
fn attributes(values: &Map<String, Value>) -> Vec<KeyValue> {
    let values = values.iter();
    values.map(|(name, value)| attribute(name, value)).collect()
}

/// A value; none of what is none.
pub(super) fn any(value: &Value) -> Option<AnyValue> {
    use any_value::Value as Any;
    let value = match value {
        Value::Null => return None,
        Value::Bool(is) => Any::BoolValue(*is),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Any::IntValue(whole),
            None => Any::DoubleValue(number.as_f64()?),
        },
        Value::String(text) => Any::StringValue(text.clone()),
        Value::Array(items) => Any::ArrayValue(ArrayValue {
            values: items.iter().filter_map(any).collect(),
        }),
        Value::Object(fields) => Any::KvlistValue(KeyValueList {
            values: attributes(fields),
        }),
    };
    Some(AnyValue { value: Some(value) })
}
