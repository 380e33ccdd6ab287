//! Why an attempt failed or took long.

use std::cmp::Ordering;

use super::{Found, LEAST, MOST, causes, whole::Whole};
use crate::record::{Confidence, Diagnosis, Text};

/// The causes that fit, most likely first: what the attempt shows, and what was told of the login that
/// decided it. None where it went well in no more than its time.
pub(in crate::session) fn ranked_of(whole: &Whole<'_>) -> Vec<Diagnosis> {
    if whole.is_good() && whole.duration < whole.slow {
        return own(whole).cloned().collect();
    }
    let fitting = causes::OF_ATTEMPTS.iter().filter_map(|(cause, fits)| {
        let found = fits(whole).filter(|found| found.confidence >= LEAST)?;
        Some(told(cause, found))
    });
    let mut ranked: Vec<_> = fitting.collect();
    let knows_more = !ranked.is_empty();
    let own = own(whole).filter(|own| {
        let known = ranked.iter().any(|other| other.cause == own.cause);
        !(known || knows_more && own.cause.as_str() == causes::UNKNOWN.slug)
    });
    let own: Vec<_> = own.cloned().collect();
    ranked.extend(own);
    ranked.sort_by(|one, other| {
        let surer = other.confidence.0.partial_cmp(&one.confidence.0);
        surer.unwrap_or(Ordering::Equal)
    });
    ranked.truncate(MOST);
    ranked
}

fn own<'a>(whole: &'a Whole<'_>) -> impl Iterator<Item = &'a Diagnosis> {
    whole.decisive().into_iter().flat_map(|step| step.causes)
}

fn told(cause: &super::Cause, found: Found) -> Diagnosis {
    let evidence = found.evidence.into_iter();
    Diagnosis {
        cause: Text::fixed(cause.slug),
        confidence: Confidence(found.confidence),
        whom: found.whom.or(cause.whom),
        evidence: evidence
            .map(|(name, value)| (Text::fixed(name), value))
            .collect(),
        meaning: cause.meaning,
        seen: cause.seen,
    }
}
