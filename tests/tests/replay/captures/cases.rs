//! Cases from the field: each a small capture, and beside it what must be said of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use harness::replay::events_with;
use serde_json::Value;

/// Fields of the `close`; all others are the `login`'s.
const OF_THE_CLOSE: [&str; 5] = [
    "close.",
    "requests.",
    "phases.command",
    "phases.close",
    "mars.",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cases")
}

/// The value at a path, which may lead through lists.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, name| match value {
        Value::Array(all) => all.get(name.parse::<usize>().ok()?),
        _ => value.get(name),
    })
}

/// What a key of an expectation stands for: `count:EVENT`, `every:FIELD`, `EVENT[N]/FIELD` or a field.
fn found(events: &[Value], key: &str) -> Vec<Value> {
    let of = |event: &str| {
        events
            .iter()
            .filter(move |line| line["event"] == event)
            .collect::<Vec<_>>()
    };
    if let Some(event) = key.strip_prefix("count:") {
        return vec![of(event).len().into()];
    }
    if let Some(path) = key.strip_prefix("every:") {
        let all = of("login").into_iter();
        return all
            .map(|line| at(line, path).cloned().unwrap_or_default())
            .collect();
    }
    let (event, number, path) = place(key);
    let line = of(event).get(number).copied();
    vec![
        line.and_then(|line| at(line, path))
            .cloned()
            .unwrap_or_default(),
    ]
}

fn place(key: &str) -> (&str, usize, &str) {
    let events = ["login", "close", "lookup", "mars", "request", "loss"];
    for event in events {
        let Some(rest) = key.strip_prefix(event) else {
            continue;
        };
        if let Some(path) = rest.strip_prefix('/') {
            return (event, 0, path);
        }
        if let Some((number, path)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            return (event, number.parse().unwrap(), &path[1..]);
        }
    }
    let close = OF_THE_CLOSE
        .iter()
        .any(|beginning| key.starts_with(beginning));
    (if close { "close" } else { "login" }, 0, key)
}

fn is_right(told: &Value, right: &Value) -> bool {
    let is_missing = told.is_null() || *told == false;
    let Some(tests) = right.as_object() else {
        return told == right || (right.is_null() || *right == false) && is_missing;
    };
    tests.iter().all(|(test, value)| match test.as_str() {
        "in" => value.as_array().unwrap().contains(told),
        "not" => told != value,
        "min" => told
            .as_f64()
            .is_some_and(|told| told >= value.as_f64().unwrap()),
        "max" => told.as_f64().unwrap_or(0.0) <= value.as_f64().unwrap(),
        "has" => told.as_array().is_some_and(|all| all.contains(value)),
        other => panic!("no test {other}"),
    })
}

#[test]
fn of_every_case_from_the_field_what_is_said_is_right() {
    let mut wrong = Vec::new();
    let mut cases = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let case: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let given = case["options"].as_array().into_iter().flatten();
        let given = given.filter_map(Value::as_str);
        let options: Vec<_> = ["--events", "all", "--identities", "show"]
            .into_iter()
            .chain(given)
            .collect();
        let events = events_with(&path.with_extension("pcap"), &options).unwrap();
        for (key, right) in case["expect"].as_object().unwrap() {
            let told = found(&events, key);
            if told.is_empty() || !told.iter().all(|told| is_right(told, right)) {
                wrong.push(format!(
                    "{}: {key} is {told:?}, right {right}",
                    path.display()
                ));
            }
        }
        cases += 1;
    }
    assert!(cases >= 20, "{cases} cases");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A judge that lets everything pass would pass every case.
#[test]
fn what_is_said_wrongly_of_a_case_is_seen() {
    let close = serde_json::json!({"event": "close", "close": {"by": "client"}, "a": [1, 2]});
    assert_eq!(found(std::slice::from_ref(&close), "close.by"), ["client"]);
    assert_eq!(
        found(std::slice::from_ref(&close), "login.outcome"),
        [Value::Null]
    );
    assert_eq!(found(&[close], "close/a.1"), [Value::from(2)]);
    let (max, min) = (serde_json::json!({"max": 1}), serde_json::json!({"min": 3}));
    assert!(!is_right(&2.into(), &max) && !is_right(&2.into(), &min));
    assert!(!is_right(&Value::Null, &min) && is_right(&Value::Null, &Value::Null));
    assert!(!is_right(&"reset".into(), &"closed".into()));
}
