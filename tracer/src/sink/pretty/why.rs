//! Why a login went wrong or was slow, in one sentence.

use std::fmt::{self, Write};

use serde_json::Value;

use super::{Time, printable, word};
use crate::record::{Confidence, Diagnosis, Nanos, Text};

/// What the sentence begins with, or says elsewhere.
const SAID: [&str; 4] = ["phase", "side", "waited_ns", "ended_by"];
/// Figures told, and items of a list.
const MOST: usize = 4;
/// A second cause that is as sure is told too.
const SURE: f64 = 0.5;

/// Where the time went, the likeliest cause with its figures, and whom to call.
pub(super) fn why(causes: &[Diagnosis]) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let Some(first) = causes.first() else {
        return Ok(text);
    };
    write!(text, "why: {}", place(first)?)?;
    write!(text, "{}", meaning(first.meaning, &first.cause))?;
    let figures = figures(first)?;
    write!(text, " ({:.2}{figures})", first.confidence.0)?;
    if let Some(whom) = first.whom {
        write!(text, ", for the {} team", word(whom))?;
    }
    if let Some(second) = causes.get(1).filter(|second| second.confidence.0 >= SURE) {
        write!(
            text,
            "; perhaps {} ({:.2})",
            meaning(second.meaning, &second.cause),
            second.confidence.0
        )?;
    }
    Ok(text)
}

/// A cause in a few words; of one that has none its name.
pub(super) fn meaning(meaning: &str, cause: &str) -> String {
    if meaning.is_empty() {
        printable(cause).replace('_', " ")
    } else {
        meaning.to_owned()
    }
}

/// How sure, with two digits at most.
pub(super) fn sure(confidence: Confidence) -> String {
    let text = format!("{:.2}", confidence.0);
    text.strip_suffix('0').unwrap_or(&text).to_owned()
}

/// Where the time went, or where it ended.
fn place(cause: &Diagnosis) -> Result<String, fmt::Error> {
    let of = |name: &'static str| cause.evidence.get(&Text::fixed(name));
    let text_of = |name| of(name).and_then(Value::as_str);
    let waited = of("waited_ns").and_then(Value::as_u64);
    let mut text = String::new();
    match (text_of("phase"), text_of("side"), waited) {
        (Some(phase), Some(side), Some(waited)) => {
            write!(text, "{} for the {side} in {phase}: ", Time(Nanos(waited)))?;
        }
        (Some(phase), ..) => match text_of("ended_by") {
            Some(by) => write!(text, "ended by the {by} in {phase}: ")?,
            None => write!(text, "in {phase}: ")?,
        },
        _ => {}
    }
    Ok(text)
}

fn figures(cause: &Diagnosis) -> Result<String, fmt::Error> {
    let told = cause.evidence.iter();
    let told = told.filter(|(name, _)| !SAID.contains(&&***name));
    let mut text = String::new();
    for (place, (name, value)) in told.take(MOST).enumerate() {
        text.push_str(if place == 0 { "; " } else { ", " });
        text.push_str(&figure(name, value)?);
    }
    Ok(text)
}

fn figure(name: &str, value: &Value) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let nanoseconds = name.strip_suffix("_ns").zip(value.as_u64());
    match (nanoseconds, value) {
        (Some((name, value)), _) => {
            write!(text, "{} {}", name.replace('_', " "), Time(Nanos(value)))?;
        }
        (None, Value::Bool(true)) => text.push_str(&name.replace('_', " ")),
        (None, Value::Array(items)) => {
            let items = items.iter().take(MOST).map(plain).collect::<Vec<_>>();
            write!(text, "{} {}", name.replace('_', " "), items.join("/"))?;
        }
        (None, value) => write!(text, "{} {}", name.replace('_', " "), plain(value))?,
    }
    Ok(text)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text).into_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::record::{Confidence, Whom};

    fn cause(meaning: &'static str, confidence: f64, evidence: &Value) -> Diagnosis {
        let evidence = evidence.as_object().expect("an object").clone();
        Diagnosis {
            cause: "some_cause".into(),
            confidence: Confidence(confidence),
            whom: Some(Whom::Database),
            evidence: evidence
                .into_iter()
                .map(|(name, value)| (name.as_str().into(), value))
                .collect(),
            meaning,
        }
    }

    #[test]
    fn one_sentence_says_where_how_long_for_whom_why_and_whom_to_call() {
        let evidence = json!({
            "phase": "prelogin", "side": "server", "waited_ns": 14_200_000_000_u64,
            "stalled_with_it": 63, "released_together": 61,
        });
        let worker = cause("SQL Server had no free worker", 0.9, &evidence);
        let storm = cause("one client logs in many times at once", 0.6, &json!({}));
        assert_eq!(
            why(&[worker, storm]).expect("text"),
            "why: 14.20 s for the server in prelogin: SQL Server had no free worker (0.90; released \
             together 61, stalled with it 63), for the database team; perhaps one client logs in many \
             times at once (0.60)"
        );
    }

    #[test]
    fn a_login_that_ended_at_once_is_told_by_who_ended_it() {
        let evidence =
            json!({"phase": "tls", "ended_by": "client", "names": ["a", "b"], "odd": true});
        let cause = cause("", 0.7, &evidence);
        assert_eq!(
            why(&[cause]).expect("text"),
            "why: ended by the client in tls: some cause (0.70; names a/b, odd), for the database team"
        );
        assert_eq!(why(&[]).expect("text"), "");
    }
}
