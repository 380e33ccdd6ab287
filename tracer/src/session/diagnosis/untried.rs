//! Why a watched process sent no packet.

use super::{Found, Ranked, causes, sort};
use crate::{record::Diagnosis, session::host::Untried};

/// The causes that fit, most likely first.
pub(in crate::session) fn ranked_of_untried(untried: &Untried) -> Vec<Diagnosis> {
    let fitting = causes::OF_UNTRIED.iter().filter_map(|(cause, fits)| {
        let found: Found = fits(untried)?;
        Some(Ranked::new(cause, found))
    });
    let mut ranked: Vec<_> = fitting.collect();
    sort(&mut ranked);
    ranked.iter().map(Ranked::told).collect()
}

#[cfg(test)]
pub(super) mod samples {
    use crate::{
        record::Process,
        session::host::{Hindrance, NetFacts, Untried},
    };

    /// A process that met this once.
    pub(in crate::session::diagnosis) fn untried(hindrance: Hindrance) -> Untried {
        Untried {
            process: Process::default(),
            server: None,
            hindrance,
            count: 1,
            asked: 0,
            from: 0,
            to: 1_000_000,
            net: NetFacts::default(),
        }
    }

    /// How sure a cause is; 0 where it does not fit.
    pub(in crate::session::diagnosis) fn sure(
        fits: impl Fn(&Untried) -> Option<super::Found>,
        untried: &Untried,
    ) -> f64 {
        fits(untried).map_or(0.0, |found| found.confidence)
    }
}
