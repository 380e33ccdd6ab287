//! What speaks for a cause.

use serde::Serialize;
use serde_json::Value;

use super::{Cause, symptoms::Symptoms};
use crate::record::{Confidence, Diagnosis, Nanos, PhaseName, Text, Whom};

/// A figure or name that a cause rests on.
pub(in crate::session) type Evidence = Vec<(&'static str, Value)>;

/// Items of a list that are told: the rest stands elsewhere in the line.
const ITEMS: usize = 4;
/// Characters of a text.
const CHARACTERS: usize = 64;

/// How well a cause fits, and what it rests on.
#[derive(Debug)]
pub(in crate::session) struct Found {
    /// How sure, 0 to 1.
    pub(in crate::session) confidence: f64,
    /// Somebody else than usual has to be called.
    pub(super) whom: Option<Whom>,
    /// It is worth telling of a login that went well too.
    pub(super) is_finding: bool,
    /// This host itself shows it, however busy it is.
    pub(super) is_hosts: bool,
    pub(in crate::session) evidence: Evidence,
}

impl Found {
    /// It fits so well.
    pub(super) fn at(confidence: f64) -> Self {
        // What is no number supports nothing.
        let confidence = if confidence.is_nan() { 0.0 } else { confidence };
        Self {
            confidence: confidence.clamp(0.0, 1.0),
            whom: None,
            is_finding: false,
            is_hosts: false,
            evidence: Vec::new(),
        }
    }

    /// The server was slow over a phase, which is over, and perhaps towards this login alone.
    pub(super) fn slow_server(symptoms: &Symptoms<'_>, phase: PhaseName) -> Option<Self> {
        symptoms.part(phase).filter(|part| part.complete)?;
        let around = &symptoms.around;
        let usual = around.usual(phase).map(Nanos);
        let sure = symptoms.slowness_of_wait(symptoms.own_share());
        let found = Self::at(sure).with("usual_ns", usual);
        Some(found.counted("stalled_with_it", around.stalled))
    }

    /// It rests on this too.
    pub(super) fn with(mut self, name: &'static str, value: impl Serialize) -> Self {
        if let Ok(mut value) = serde_json::to_value(value)
            && !value.is_null()
        {
            bound(&mut value);
            self.evidence.push((name, value));
        }
        self
    }

    /// It rests on this duration too.
    pub(super) fn took(self, name: &'static str, nanoseconds: u64) -> Self {
        self.with(name, Nanos(nanoseconds))
    }

    /// It rests on this count too, where there is any.
    pub(super) fn counted(self, name: &'static str, count: u32) -> Self {
        let some = Some(count).filter(|count| *count > 0);
        self.with(name, some)
    }

    /// Somebody else than usual has to be called.
    pub(super) fn call(mut self, whom: Whom) -> Self {
        self.whom = Some(whom);
        self
    }

    /// This host itself shows it, however busy it is.
    pub(super) fn shown_by_host(mut self) -> Self {
        self.is_hosts = true;
        self
    }

    /// It is worth telling of a login that went well too.
    pub(super) fn finding(mut self) -> Self {
        self.is_finding = true;
        self
    }
}

/// A cause that fits.
#[derive(Clone, Debug)]
pub(in crate::session) struct Ranked {
    cause: &'static Cause,
    pub(in crate::session) confidence: f64,
    pub(in crate::session) whom: Option<Whom>,
    pub(in crate::session) is_finding: bool,
    pub(in crate::session) evidence: Box<Evidence>,
}

impl Ranked {
    pub(super) fn new(cause: &'static Cause, found: Found) -> Self {
        Self {
            cause,
            confidence: found.confidence,
            whom: found.whom.or(cause.whom),
            is_finding: found.is_finding,
            evidence: Box::new(found.evidence),
        }
    }

    /// A cause of this name that fits so well.
    #[cfg(test)]
    pub(in crate::session) fn named(slug: &str, confidence: f64) -> Self {
        let cause = super::causes::ALL.iter().find(|cause| cause.slug == slug);
        Self::new(cause.expect("a cause"), Found::at(confidence))
    }

    /// Its name.
    pub(in crate::session) fn slug(&self) -> &'static str {
        self.cause.slug
    }

    /// It as a record.
    pub(in crate::session) fn told(&self) -> Diagnosis {
        let evidence = self.evidence.iter();
        Diagnosis {
            cause: Text::fixed(self.cause.slug),
            confidence: Confidence(self.confidence),
            whom: self.whom,
            evidence: evidence
                .map(|(name, value)| (Text::fixed(name), value.clone()))
                .collect(),
            meaning: self.cause.meaning,
            seen: self.cause.seen,
        }
    }
}

/// Cuts what a peer may have made long.
fn bound(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some((end, _)) = text.char_indices().nth(CHARACTERS) {
                text.truncate(end);
            }
        }
        Value::Array(items) => {
            items.truncate(ITEMS);
            items.iter_mut().for_each(bound);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cause_rests_on_is_short_whatever_a_peer_has_said() {
        let names = vec!["ä".repeat(300); 16];
        let found = Found::at(0.5)
            .with("names", &names)
            .with("none", None::<u32>);
        let [(_, value)] = &found.evidence[..] else {
            panic!("{found:?}")
        };
        let kept = value.as_array().expect("a list");
        assert_eq!(kept.len(), ITEMS);
        assert!(kept.iter().all(|name| {
            name.as_str()
                .is_some_and(|name| name.chars().count() == CHARACTERS)
        }));
    }

    #[test]
    fn a_confidence_is_one_whatever_it_was_computed_from() {
        assert!(Found::at(f64::NAN).confidence.abs() < f64::EPSILON);
        assert!((Found::at(3.0).confidence - 1.0).abs() < f64::EPSILON);
    }
}
