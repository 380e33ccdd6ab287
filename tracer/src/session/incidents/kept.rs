//! How often logins go wrong at all times, as it is kept from one run to the next.

use foldhash::HashMap;

use super::{Key, Limits, Scope, Watch, family};
use crate::{
    record::Text,
    session::baselines::{TroubleBaseline, Troubles},
};

/// What is met less often in a minute is not worth keeping.
const SELDOM: f64 = 0.01;

/// What is usual, the troubles that are met most often first.
pub(super) fn of(limits: Option<Limits>, watched: u64, all: &HashMap<Key, Watch>) -> Troubles {
    let Some(limits) = limits else {
        return Troubles::default();
    };
    let mut met: Vec<_> = all
        .iter()
        .map(|(key, watch)| (watch.per_minute(&limits), key))
        .filter(|(per_minute, _)| *per_minute >= SELDOM)
        .collect();
    met.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(other.1)));
    Troubles {
        watched_ns: watched,
        met: met
            .into_iter()
            .map(|(per_minute, key)| told(key, per_minute))
            .collect(),
    }
}

fn told(key: &Key, per_minute: f64) -> TroubleBaseline {
    let mut told = TroubleBaseline {
        family: key.family.to_owned(),
        error: key.error,
        server: None,
        client: None,
        process: None,
        per_minute,
    };
    match &key.scope {
        Scope::Server(address, port) => told.server = Some((*address, *port)),
        Scope::Client(address, process) => {
            told.client = Some(*address);
            told.process = process.as_ref().map(|process| process.as_str().to_owned());
        }
        Scope::Cause => {}
    }
    told
}

/// The trouble and its place; nothing where this agent knows of no such trouble.
pub(super) fn key(kept: &TroubleBaseline) -> Option<Key> {
    let scope = match (kept.server, kept.client) {
        (Some((address, port)), _) => Scope::Server(address, port),
        (None, Some(address)) => Scope::Client(address, kept.process.as_deref().map(Text::from)),
        (None, None) => Scope::Cause,
    };
    Some(Key {
        family: family::named(&kept.family)?,
        error: kept.error,
        scope,
    })
}
