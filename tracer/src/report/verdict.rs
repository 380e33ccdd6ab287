//! What happened, in three sentences.

use serde::Serialize;

use super::{
    gather::Gathered,
    line::Cause,
    text::{count, number, shown, time, words},
};
use crate::{
    record::{Confidence, Diagnosis, Text, Whom},
    session, sink,
};

/// See the module.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    /// Nothing went wrong.
    pub(super) good: bool,
    pub(super) sentences: Vec<String>,
}

impl Verdict {
    pub(super) fn new(gathered: &Gathered) -> Self {
        let bad = gathered.failed + gathered.slow;
        let good = bad == 0 && gathered.incidents.is_empty();
        let mut sentences = vec![happened(gathered)];
        sentences.extend(likeliest(gathered, bad));
        Self { good, sentences }
    }
}

/// How many logins, and how many of them went wrong.
fn happened(gathered: &Gathered) -> String {
    let logins = number(gathered.logins, "login");
    let Some((first, last)) = gathered.first.zip(gathered.last) else {
        return "No login was seen.".to_owned();
    };
    let hosts = match gathered.unseen.hosts() {
        0 | 1 => String::new(),
        hosts => format!(", seen by {hosts} hosts"),
    };
    let when = format!("between {first} and {last}{hosts}");
    let limit = time(gathered.slow_from);
    match (gathered.failed, gathered.slow) {
        (0, 0) => format!(
            "{logins} {when}: none failed, and none took longer than {limit}; the longest took {}.",
            time(gathered.took.longest().unwrap_or_default())
        ),
        (0, slow) => format!(
            "Of {logins} {when}, {} took longer than {limit}; none failed.",
            count(slow)
        ),
        (failed, 0) => format!(
            "Of {logins} {when}, {} failed; no other took longer than {limit}.",
            count(failed)
        ),
        (failed, slow) => format!(
            "Of {logins} {when}, {} failed, and {} more took longer than {limit}.",
            count(failed),
            count(slow)
        ),
    }
}

/// The likeliest cause with what was seen of it, and what helps.
fn likeliest(gathered: &Gathered, bad: u64) -> Vec<String> {
    let causes = gathered.causes.iter();
    let Some((cause, of)) = causes.max_by_key(|(_, of)| of.logins) else {
        return Vec::new();
    };
    let which = if of.logins == bad {
        if bad == 1 {
            "Its likeliest cause:".to_owned()
        } else {
            format!("The likeliest cause of all {}:", count(bad))
        }
    } else {
        format!(
            "The likeliest cause of {} of these {}:",
            count(of.logins),
            count(bad)
        )
    };
    let worst = gathered.chosen.worst();
    let example = worst.iter().find(|kept| {
        let first = kept.facts.diagnosis.first();
        first.is_some_and(|first| first.cause == *cause)
    });
    let said = example.map_or_else(
        || meaning(cause),
        |kept| {
            let said = why(&kept.facts.diagnosis);
            said.strip_prefix("why: ").unwrap_or(&said).to_owned()
        },
    );
    let mut sentences = vec![format!("{which} {said}.")];
    let known = session::words(cause).map_or("", |words| words.mend);
    if !known.is_empty() {
        sentences.push(format!("What helps: {known}"));
    }
    sentences
}

/// A cause in a few words.
pub(super) fn meaning(cause: &str) -> String {
    session::words(cause).map_or_else(|| words(cause), |words| words.meaning.to_owned())
}

/// Why, in one sentence, as `--format pretty` says it; nothing where no cause is known.
pub(super) fn why(causes: &[Cause]) -> String {
    let causes: Vec<_> = causes.iter().map(diagnosis).collect();
    shown_whole(&sink::why(&causes).unwrap_or_default())
}

/// A sentence may be longer than a name; what a stranger chose in it is none the less harmless.
fn shown_whole(text: &str) -> String {
    let words: Vec<_> = text.split(' ').map(shown).collect();
    words.join(" ")
}

fn diagnosis(cause: &Cause) -> Diagnosis {
    let known = session::words(&cause.cause);
    let evidence = cause.evidence.iter();
    Diagnosis {
        cause: Text::from(cause.cause.as_str()),
        confidence: Confidence(cause.confidence),
        whom: match cause.whom.as_deref() {
            Some("application") => Some(Whom::Application),
            Some("database") => Some(Whom::Database),
            Some("network") => Some(Whom::Network),
            Some("identity") => Some(Whom::Identity),
            Some("host") => Some(Whom::Host),
            _ => None,
        },
        evidence: evidence
            .map(|(name, value)| (Text::from(name.as_str()), value.clone()))
            .collect(),
        meaning: known.map_or("", |words| words.meaning),
        seen: known.map_or("", |words| words.seen),
    }
}
