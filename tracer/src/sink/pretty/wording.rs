//! What was seen of a cause, in words: see [`Diagnosis::seen`].

use std::fmt::Write as _;

use serde_json::Value;

use super::{Time, printable};
use crate::record::{Diagnosis, Nanos, PhaseName, Text};

/// Items of a list that are told.
const MOST: usize = 4;
/// One of many reads otherwise.
const ONE: [(&str, &str); 5] = [
    (" 1 other logins", " 1 other login"),
    (" 1 others", " 1 other"),
    (" 1 times", " once"),
    (" 1 keep-alives", " 1 keep-alive"),
    (" 1 requests", " 1 request"),
];

/// What was seen; nothing where evidence that the words need is missing.
pub(super) fn seen(cause: &Diagnosis) -> Option<String> {
    let wordings = cause.seen.split('|').filter(|wording| !wording.is_empty());
    let mut texts = wordings.filter_map(|wording| filled(wording, cause));
    let mut text = texts.next()?;
    for (many, one) in ONE {
        text = text.replace(many, one);
    }
    Some(text)
}

/// A wording with its evidence, without the parts in brackets that have none.
fn filled(wording: &str, cause: &Diagnosis) -> Option<String> {
    let mut text = String::new();
    let mut rest = wording;
    while let Some(start) = rest.find('[') {
        let (before, part) = rest.split_at(start);
        let (part, after) = part[1..].split_once(']')?;
        text.push_str(&told(before, cause, false)?);
        text.push_str(&told(part, cause, true).unwrap_or_default());
        rest = after;
    }
    text.push_str(&told(rest, cause, false)?);
    Some(text)
}

/// Words with the evidence that they name. Where they may be left out, evidence that is nothing is none.
fn told(words: &str, cause: &Diagnosis, may_lack: bool) -> Option<String> {
    let mut text = String::new();
    let mut rest = words;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        text.push_str(before);
        rest = after;
        if let Some(name) = name.strip_suffix('?') {
            evidence(name, cause).filter(|value| **value == Value::Bool(true))?;
            continue;
        }
        if name == "was_asked" {
            let asked = asked(cause)?;
            // Whose acknowledgement was not seen may have acknowledged nothing.
            match evidence("acknowledged_ns", cause) {
                Some(_) => write!(text, "acknowledged {asked} at once"),
                None => write!(text, "was sent {asked}"),
            }
            .ok()?;
            continue;
        }
        let value = evidence(name, cause)?;
        let is_nothing = value.as_u64() == Some(0) || *value == Value::Bool(false);
        if may_lack && is_nothing {
            return None;
        }
        write!(text, "{}", figure(name, value)).ok()?;
    }
    text.push_str(rest);
    Some(text)
}

fn evidence<'a>(name: &str, cause: &'a Diagnosis) -> Option<&'a Value> {
    let mut all = cause.evidence.iter();
    let found = all.find(|(known, _)| known.as_str() == name);
    found.map(|(_, value)| value)
}

fn phase(cause: &Diagnosis) -> Option<PhaseName> {
    let name = cause.evidence.get(&Text::fixed("phase"))?.as_str()?;
    let mut all = PhaseName::LOGIN.into_iter();
    all.find(|phase| phase.as_str() == name)
}

/// What the server owes an answer to in the phase.
fn asked(cause: &Diagnosis) -> Option<&'static str> {
    Some(match phase(cause)? {
        PhaseName::Handshake => "the SYN",
        PhaseName::Prelogin => "PRELOGIN",
        PhaseName::Tls => "the client's part of TLS",
        PhaseName::Login => "LOGIN7",
        PhaseName::Auth => "the client's token",
        _ => return None,
    })
}

/// A value as a person reads it.
pub(super) fn figure(name: &str, value: &Value) -> String {
    match (name, value) {
        (name, Value::Number(number)) if name.ends_with("_ns") => {
            number.as_u64().map_or_else(|| number.to_string(), brief)
        }
        ("phase", Value::String(name)) => match name.as_str() {
            "prelogin" => "PRELOGIN".to_owned(),
            "tls" => "TLS".to_owned(),
            "login" => "LOGIN7".to_owned(),
            "auth" => "authentication".to_owned(),
            "handshake" => "the handshake".to_owned(),
            other => printable(other).into_owned(),
        },
        // The day is enough.
        ("not_after" | "not_before", Value::String(time)) => {
            printable(time.get(..10).unwrap_or(time)).into_owned()
        }
        (_, Value::String(text)) => printable(text).into_owned(),
        (_, Value::Array(items)) => {
            let items = items.iter().take(MOST).map(|item| figure("", item));
            items.collect::<Vec<_>>().join("/")
        }
        (_, other) => other.to_string(),
    }
}

/// A duration without digits that say nothing.
pub(super) fn brief(nanoseconds: u64) -> String {
    let text = Time(Nanos(nanoseconds)).to_string();
    let Some((number, unit)) = text.split_once(' ') else {
        return text;
    };
    let number = match number.split_once('.') {
        Some(_) => number.trim_end_matches('0').trim_end_matches('.'),
        None => number,
    };
    format!("{number} {unit}")
}
