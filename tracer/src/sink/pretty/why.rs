//! Why a login went wrong or was slow, in one sentence.

use std::fmt::{self, Write};

use serde_json::Value;

use super::{printable, word, wording};
use crate::record::{Confidence, Diagnosis, Text};

/// What the sentence begins with, or says elsewhere.
const SAID: [&str; 4] = ["phase", "side", "waited_ns", "ended_by"];
/// Figures told.
const MOST: usize = 4;
/// A second cause that is as sure is told too.
const SURE: f64 = 0.5;

/// What was seen, the likeliest cause, how sure that is, and whom to call.
pub(crate) fn why(causes: &[Diagnosis]) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let Some(first) = causes.first() else {
        return Ok(text);
    };
    // Where it can not be put into words, the figures are told.
    let seen = wording::seen(first);
    let figures = if seen.is_some() {
        String::new()
    } else {
        figures(first)
    };
    let seen = seen.or_else(|| place(first));
    let before = seen.map_or_else(String::new, |seen| seen + ": ");
    write!(
        text,
        "why: {before}{} ({}{figures})",
        meaning(first.meaning, &first.cause),
        sure(first.confidence)
    )?;
    if let Some(whom) = first.whom {
        write!(text, ", for the {} team", word(whom))?;
    }
    if let Some(second) = causes.get(1).filter(|second| second.confidence.0 >= SURE) {
        let (meaning, sure) = (
            meaning(second.meaning, &second.cause),
            sure(second.confidence),
        );
        write!(text, "; perhaps {meaning} ({sure})")?;
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
fn place(cause: &Diagnosis) -> Option<String> {
    let of = |name: &'static str| cause.evidence.get(&Text::fixed(name));
    let told = |name| of(name).map(|value| wording::figure(name, value));
    let phase = told("phase")?;
    Some(match (told("side"), told("waited_ns"), told("ended_by")) {
        (Some(side), Some(waited), _) => format!("{waited} for the {side} in {phase}"),
        (_, _, Some(by)) => format!("ended by the {by} in {phase}"),
        _ => format!("in {phase}"),
    })
}

fn figures(cause: &Diagnosis) -> String {
    let told = cause.evidence.iter();
    let told = told.filter(|(name, _)| !SAID.contains(&&***name));
    let each = told.take(MOST).map(|(name, value)| {
        let words = name.strip_suffix("_ns").unwrap_or(name).replace('_', " ");
        match value {
            Value::Bool(true) => words,
            value => format!("{words} {}", wording::figure(name, value)),
        }
    });
    let each: Vec<_> = each.collect();
    if each.is_empty() {
        String::new()
    } else {
        format!("; {}", each.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, slice};

    use serde_json::json;

    use super::*;
    use crate::record::Whom;

    fn cause(words: [&'static str; 2], confidence: f64, evidence: &Value) -> Diagnosis {
        let [meaning, seen] = words;
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
            seen,
        }
    }

    #[test]
    fn one_sentence_says_what_was_seen_why_how_sure_and_whom_to_call() {
        let evidence = json!({
            "phase": "prelogin", "side": "server", "waited_ns": 14_200_000_000_u64,
            "stalled_with_it": 63, "released_together": 61, "acknowledged_ns": 300_000,
        });
        let seen = "the server {was_asked} and answered {waited_ns} later[, with \
            {stalled_with_it} other logins waiting][, and {missing} more]";
        let worker = cause(["SQL Server had no free worker", seen], 0.9, &evidence);
        let storm = cause(
            ["one client logs in many times at once", ""],
            0.6,
            &json!({}),
        );
        assert_eq!(
            why(&[worker, storm]).expect("text"),
            "why: the server acknowledged PRELOGIN at once and answered 14.2 s later, with 63 other logins \
             waiting: SQL Server had no free worker (0.9), for the database team; perhaps one client logs in \
             many times at once (0.6)"
        );
    }

    #[test]
    fn who_was_not_seen_to_acknowledge_a_question_was_sent_it() {
        let evidence = json!({"phase": "login", "side": "server", "waited_ns": 3_000_000_000_u64});
        let seen = "the server {was_asked} and answered {waited_ns} later";
        let slow = cause(["SQL Server was slow", seen], 0.7, &evidence);
        assert_eq!(
            why(&[slow]).expect("text"),
            "why: the server was sent LOGIN7 and answered 3 s later: SQL Server was slow (0.7), for the database team"
        );
    }

    #[test]
    fn the_first_wording_holds_whose_evidence_is_there_and_what_is_nothing_is_left_out() {
        let words =
            "{odd?}it is odd|it was sent {times} times[, {lost} of them lost]|it is unknown";
        let of = |evidence: &Value| wording::seen(&cause(["", words], 0.5, evidence));
        let odd = of(&json!({"odd": true, "times": 2}));
        assert_eq!(odd.as_deref(), Some("it is odd"));
        let sent = of(&json!({"odd": false, "times": 1, "lost": 0}));
        assert_eq!(sent.as_deref(), Some("it was sent once"));
        assert_eq!(of(&json!({})).as_deref(), Some("it is unknown"));
    }

    /// A value for evidence of this name.
    fn some(name: &str) -> Value {
        match name {
            "phase" => json!("prelogin"),
            "side" | "ended_by" => json!("server"),
            "not_after" | "not_before" => json!("2026-11-22T19:45:26.000000000Z"),
            "asked_for" | "subject" | "sts_host" | "database" => json!("sql1.lab.test"),
            "certificate_names" | "crl_hosts" => json!(["a.lab.test", "b.lab.test"]),
            "alert" => json!("unknown_ca"),
            "offered" | "signature_algorithms" | "dead_addresses" => json!(["1.0", "1.1"]),
            "won" => json!("10.77.0.3"),
            "speaks" => json!("http"),
            "lookup" => json!("timeout"),
            "means" => json!("the login is disabled"),
            "token_hosts" | "blocked_hosts" => json!(["a.lab.test"]),
            "self_signed" | "fell_back" | "server_gave_up" | "unanswered" => json!(true),
            name if name.ends_with("_ns") => json!(1_250_000_000),
            _ => json!(7),
        }
    }

    /// Evidence of every name that the words have, or of those that they can not do without.
    fn evidence(words: &str, all: bool) -> BTreeMap<Text, Value> {
        let outside = |part: &str| {
            part.split_once(']')
                .map_or(part, |(_, rest)| rest)
                .to_owned()
        };
        let needed: String = words.split('[').map(outside).collect();
        let words = if all { words } else { &needed };
        let names = words.split('{').skip(1);
        let names = names.filter_map(|name| name.split('}').next());
        let names = names.filter(|name| *name != "asked");
        let names = names.map(|name| name.trim_end_matches('?'));
        let told = names.map(|name| (name.into(), some(name)));
        told.chain([("phase".into(), some("phase"))]).collect()
    }

    #[test]
    fn every_cause_in_one_sentence() {
        let mut told = Vec::new();
        for mut cause in crate::session::every() {
            let words = cause.seen;
            let wordings = words.split('|').map(|wording| (wording, true));
            for (wording, all) in wordings.chain([(words, false)]) {
                cause.evidence = evidence(wording, all);
                told.push(why(slice::from_ref(&cause)).expect("text"));
            }
        }
        told.dedup();
        let text = told.join("\n");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn without_words_it_is_told_where_it_ended_and_on_which_figures_that_rests() {
        let evidence =
            json!({"phase": "tls", "ended_by": "client", "names": ["a", "b"], "odd": true});
        let cause = cause(["", "{missing} is missing"], 0.7, &evidence);
        assert_eq!(
            why(&[cause]).expect("text"),
            "why: ended by the client in TLS: some cause (0.7; names a/b, odd), for the database team"
        );
        assert_eq!(why(&[]).expect("text"), "");
    }
}
