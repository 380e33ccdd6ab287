//! Why a login failed or was slow: causes that fit what was seen of it and of its neighbours.
//!
//! `symptoms` are the facts, `neighbours` what others did meanwhile, each of `causes` one file: a
//! signature and a page. `whole` is of attempts, what `symptoms` is of logins; `questions` are what other services were asked for either. All of it is pure: the same symptoms always give the same causes.

mod attempts;
mod causes;
mod errors;
mod found;
mod neighbours;
mod pages;
mod questions;
mod several;
mod symptoms;
#[cfg(test)]
mod tests;
mod untried;
mod whole;

use std::cmp::Ordering;

pub(crate) use self::errors::refused_for;
use self::found::Found;
#[cfg(test)]
use self::neighbours::{Spread, Typical};
#[cfg(test)]
pub(crate) use self::pages::every;
pub use self::pages::{Words, explain, list, reference, words};
pub(in crate::session) use self::{
    attempts::ranked_of,
    found::Ranked,
    neighbours::{Around, Me, Neighbours, Place, Wait},
    pages::slugs,
    symptoms::{Closing, Ended, IN_VAIN, Lost, Part, Symptoms},
    untried::ranked_of_untried,
    whole::{Step, Whole},
};
use crate::record::Whom;

/// Causes told of one login; what is less likely than the third helps nobody.
const MOST: usize = 3;
/// A cause that is less sure is not told: to say that nothing is known is better.
const LEAST: f64 = 0.35;
/// No more is believed of a login that is slow for its server only: another would call it healthy.
const ONLY_UNUSUAL: f64 = 0.5;
/// No more is believed of a login that went well and was slow on a host that has no processor free: whoever was waited for
/// may only have waited for one.
const WHO_KNOWS: f64 = 0.5;
/// How sure it is that none of the causes is known.
const UNKNOWN: f64 = 0.5;

/// A cause: what it is called, how it is known, and what is to be said of it.
#[derive(Debug)]
pub(in crate::session) struct Cause {
    /// Its name, which binds.
    pub(in crate::session) slug: &'static str,
    /// Whom to call; `None` where nobody need be.
    pub(in crate::session) whom: Option<Whom>,
    /// It in a few words.
    pub(in crate::session) meaning: &'static str,
    /// What was seen of it, in words around the evidence; see [`crate::record::Diagnosis::seen`].
    pub(in crate::session) seen: &'static str,
    /// How well it fits; `None` where it does not.
    pub(in crate::session) fits: fn(&Symptoms<'_>) -> Option<Found>,
    pub(in crate::session) page: Page,
}

/// What is to be said of a cause, in Markdown.
#[derive(Debug)]
pub(in crate::session) struct Page {
    /// What happens.
    pub(in crate::session) means: &'static str,
    /// What of it is seen, and how sure that is.
    pub(in crate::session) signs: &'static str,
    /// What speaks against it.
    pub(in crate::session) against: &'static str,
    /// Where SQL Server, or whoever it is, shows the same.
    pub(in crate::session) confirm: &'static str,
    /// What usually helps.
    pub(in crate::session) mend: &'static str,
    /// Public reports of it, where there are.
    pub(in crate::session) reports: &'static [&'static str],
}

/// The causes that fit, most likely first; none of a login that went well in no more than its time.
pub(in crate::session) fn ranked(symptoms: &Symptoms<'_>) -> Vec<Ranked> {
    let asks = symptoms.asks_why();
    let mut ranked = fitting(symptoms);
    sort(&mut ranked);
    let is_explained = ranked.iter().any(|ranked| !ranked.is_finding);
    if asks && !is_explained {
        let partial = symptoms.partial.then_some(true);
        let found = Found::at(UNKNOWN).with("partial", partial);
        ranked.push(Ranked::new(&causes::UNKNOWN, found));
        sort(&mut ranked);
    }
    for ranked in &mut ranked {
        symptoms.place(&mut ranked.evidence);
    }
    several::add_others(symptoms, &mut ranked);
    ranked
}

/// The causes that fit.
fn fitting(symptoms: &Symptoms<'_>) -> Vec<Ranked> {
    let asks = symptoms.asks_why();
    let among = if asks {
        causes::ALL
    } else {
        causes::OF_GOOD_LOGINS
    };
    let fitting = among.iter().filter_map(|cause| {
        // Who speaks another protocol has no other trouble with this one.
        if symptoms.is_strange() && cause.whom.is_some() {
            return None;
        }
        let mut found = (cause.fits)(symptoms)?;
        debug_assert!(
            !found.is_finding
                || causes::OF_GOOD_LOGINS
                    .iter()
                    .any(|one| one.slug == cause.slug),
            "{} is missing among causes of good logins",
            cause.slug
        );
        if symptoms.is_only_unusual() && !found.is_finding {
            found.confidence = found.confidence.min(ONLY_UNUSUAL);
        }
        if let Some(busy) = symptoms.is_short_of_processors()
            && !found.is_finding
            && !found.is_hosts
        {
            found.confidence = at_most(found.confidence, WHO_KNOWS);
            found = found.took("host_pressure_ns", busy.waited);
        }
        let tells = asks || found.is_finding;
        (tells && found.confidence >= LEAST).then(|| Ranked::new(cause, found))
    });
    fitting.collect()
}

/// A confidence that is no more than so much, and in the order of others that are bounded so.
fn at_most(confidence: f64, most: f64) -> f64 {
    if confidence <= LEAST {
        return confidence;
    }
    LEAST + (confidence - LEAST) * (most - LEAST) / (1.0 - LEAST)
}

/// The causes of a login, with those that only its connection's end shows.
pub(in crate::session) fn ranked_at_close(
    symptoms: &Symptoms<'_>,
    known: &[Ranked],
) -> Vec<Ranked> {
    let fitting = causes::OF_GOOD_LOGINS.iter().filter_map(|cause| {
        let found = (cause.fits)(symptoms).filter(|found| found.is_finding)?;
        let is_new = known.iter().all(|known| known.slug() != cause.slug);
        (is_new && found.confidence >= LEAST).then(|| Ranked::new(cause, found))
    });
    let new: Vec<_> = fitting.collect();
    let knows_nothing = |known: &&Ranked| known.slug() == causes::UNKNOWN.slug && !new.is_empty();
    let known = known.iter().filter(|known| !knows_nothing(known));
    let mut ranked: Vec<_> = known.cloned().collect();
    ranked.extend(new);
    sort(&mut ranked);
    ranked
}

/// Puts the likeliest first; those that are equally likely stay as they are.
fn sort(ranked: &mut Vec<Ranked>) {
    ranked.sort_by(|one, other| {
        let surer = other.confidence.partial_cmp(&one.confidence);
        surer.unwrap_or(Ordering::Equal)
    });
    ranked.truncate(MOST);
}
