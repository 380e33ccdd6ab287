//! What is said of the unchanged connection, but for what the change means.

use serde_json::{Value, json};

use crate::{expect::LOGIN_PHASES, replay::field, sweep::engine::Lines};

/// What a `close` says of its own: all else stands in the `login`, and times follow from those there.
const OF_THE_CLOSE: [&str; 7] = [
    "connection",
    "close.by",
    "close.how",
    "close.class",
    "close.phase",
    "login.outcome",
    "requests.count",
];

/// From here on a login is slow, nanoseconds.
const SLOW: u64 = 1_000_000_000;

/// What must be said.
#[derive(Clone, Debug)]
pub struct Same {
    /// Of the connection as it was, put right for the change.
    pub expected: Lines,
    /// How far a duration may differ.
    pub tolerance_ns: u64,
    /// How far a side's or the network's share of a phase may differ.
    pub share_ns: u64,
    /// Paths of which nothing is asked.
    pub skipped: Vec<String>,
    /// A path of which one of several values is right.
    pub outcomes: Vec<&'static str>,
    /// What the likeliest cause may be of a login that went well and is slow now.
    pub causes: Vec<&'static str>,
}

impl Same {
    /// What is said of a connection must be said again.
    pub fn as_is(expected: Lines) -> Self {
        Self {
            expected,
            tolerance_ns: 0,
            share_ns: 0,
            skipped: Vec::new(),
            outcomes: Vec::new(),
            causes: Vec::new(),
        }
    }

    /// Asks nothing of some paths; `*` in one stands for whatever is there.
    #[must_use]
    pub fn skipping(mut self, paths: &[&str]) -> Self {
        self.skipped
            .extend(paths.iter().map(|path| (*path).to_owned()));
        self
    }

    /// Lets a phase and the login take longer by so much, which is this share's; `None` where it is
    /// anybody's.
    pub fn lengthen(&mut self, phase: &str, by: u64, share: Option<&str>) {
        for line in self
            .expected
            .logins
            .iter_mut()
            .chain(&mut self.expected.closes)
        {
            let Some(start) =
                field(line, &format!("phases.{phase}.start_ns")).and_then(Value::as_u64)
            else {
                continue;
            };
            add(&mut line["login"]["duration_ns"], by);
            for name in LOGIN_PHASES {
                let phase = &mut line["phases"][name];
                if phase["start_ns"].as_u64().is_some_and(|at| at > start) {
                    add(&mut phase["start_ns"], by);
                }
                if phase.is_null() {
                    line["phases"]
                        .as_object_mut()
                        .map(|phases| phases.remove(name));
                }
            }
            add(&mut line["phases"][phase]["duration_ns"], by);
            if let Some(share) = share {
                add(&mut line["phases"][phase][format!("{share}_ns")], by);
                if line["login"].get(format!("{share}_ns")).is_some() {
                    add(&mut line["login"][format!("{share}_ns")], by);
                }
            }
        }
        if share.is_none() {
            for share in ["client", "server", "network"] {
                self.skipped.push(format!("phases.{phase}.{share}_ns"));
                self.skipped.push(format!("login.{share}_ns"));
            }
        }
        self.skipped.push("login.slowest_phase".to_owned());
    }

    pub(super) fn judge(&self, said: &Lines) -> Vec<String> {
        let mut wrong = Vec::new();
        for (event, expected, told) in [
            ("login", &self.expected.logins, &said.logins),
            ("close", &self.expected.closes, &said.closes),
        ] {
            if expected.len() != told.len() {
                wrong.push(format!(
                    "number of {event}s: {}, right {}",
                    told.len(),
                    expected.len()
                ));
            }
            for (expected, told) in expected.iter().zip(told) {
                let mut found = Vec::new();
                if event == "close" {
                    for path in OF_THE_CLOSE {
                        let [expected, told] =
                            [expected, told].map(|line| field(line, path).unwrap_or(&Value::Null));
                        self.compare(path, expected, told, &mut found);
                    }
                } else {
                    self.compare("", expected, told, &mut found);
                    self.judge_causes(expected, told, &mut found);
                }
                wrong.extend(found.into_iter().map(|one| format!("{event}.{one}")));
            }
        }
        wrong
    }

    /// A login that went well is told why where it was slow, and only then; one that did not is told in
    /// any case.
    fn judge_causes(&self, expected: &Value, told: &Value, wrong: &mut Vec<String>) {
        let causes = told["diagnosis"].as_array();
        let first = causes.and_then(|causes| causes.first()?["cause"].as_str());
        let good = ["success", "redirected"].map(Value::from);
        let is_good = good.contains(&told["login"]["outcome"]);
        let duration = told["login"]["duration_ns"].as_u64().unwrap_or(0);
        let is_right = match first {
            None => is_good && duration < SLOW,
            Some(_) if !is_good => true,
            Some(_) if duration < SLOW => !expected["diagnosis"].is_null(),
            // It had one before.
            Some(_) if !expected["diagnosis"].is_null() => true,
            Some(first) => self.causes.is_empty() || self.causes.contains(&first),
        };
        if !is_right {
            wrong.push(format!(
                "diagnosis {}, right {}: ",
                first.unwrap_or("none"),
                self.causes.join(" or ")
            ));
        }
    }

    fn compare(&self, path: &str, expected: &Value, told: &Value, wrong: &mut Vec<String>) {
        if path == "diagnosis" || self.skips(path) {
            return;
        }
        if expected.is_object() || told.is_object() {
            let empty = json!({});
            let [expected, told] =
                [expected, told].map(|value| value.as_object().or(empty.as_object()));
            let (Some(expected), Some(told)) = (expected, told) else {
                return;
            };
            let mut names: Vec<_> = expected.keys().chain(told.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                let [expected, told] =
                    [expected, told].map(|fields| fields.get(name).unwrap_or(&Value::Null));
                self.compare(&path, expected, told, wrong);
            }
            return;
        }
        if path == "login.outcome" && !self.outcomes.is_empty() {
            if !self.outcomes.iter().any(|outcome| told == outcome) {
                wrong.push(format!(
                    "{path} {told}, right {}: ",
                    self.outcomes.join(" or ")
                ));
            }
        } else if !self.is_near(path, expected, told) {
            let is_time = path.ends_with("_ns");
            wrong.push(if is_time {
                format!("{path}: {told}, right {expected}")
            } else {
                format!("{path} {told}, right {expected}: ")
            });
        }
    }

    fn skips(&self, path: &str) -> bool {
        self.skipped
            .iter()
            .any(|skipped| match skipped.split_once('*') {
                Some((beginning, end)) => path.starts_with(beginning) && path.ends_with(end),
                None => path == skipped,
            })
    }

    fn is_near(&self, path: &str, expected: &Value, told: &Value) -> bool {
        let shares = ["client_ns", "server_ns", "network_ns"];
        let tolerance = if shares.iter().any(|share| path.ends_with(share)) {
            // The login's share is the sum of its phases'.
            let phases = if path.starts_with("login.") {
                LOGIN_PHASES.len() as u64
            } else {
                1
            };
            phases * self.share_ns.max(self.tolerance_ns)
        } else if path.ends_with("_ns") {
            self.tolerance_ns
        } else {
            return expected == told;
        };
        match (expected.as_u64(), told.as_u64()) {
            (Some(expected), Some(told)) => expected.abs_diff(told) <= tolerance,
            _ => expected == told,
        }
    }
}

fn add(value: &mut Value, by: u64) {
    *value = json!(value.as_u64().unwrap_or(0) + by);
}
