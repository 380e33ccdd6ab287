//! What came of a login, and what shows it.

use super::sealed;
use crate::record::{Basis, Outcome};

/// What came of a login, and what shows it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::session) struct Decision {
    pub(in crate::session) outcome: Outcome,
    pub(in crate::session) basis: Basis,
    pub(in crate::session) confidence: Option<f64>,
    /// When the deciding message had passed.
    pub(in crate::session) at: u64,
    /// A request alone shows the outcome: the answer before it was not seen.
    pub(in crate::session) by_request: bool,
    /// The first sealed record that came after the login.
    pub(in crate::session) rest: usize,
    /// Sealed messages of authentication before the deciding reply.
    pub(in crate::session) rounds: usize,
}

impl Decision {
    /// By what was seen.
    pub(in crate::session) fn observed(outcome: Outcome, at: u64) -> Self {
        Self {
            outcome,
            basis: Basis::Observed,
            confidence: None,
            at,
            by_request: false,
            rest: usize::MAX,
            rounds: 0,
        }
    }

    /// By what is likely.
    pub(in crate::session) fn inferred(outcome: Outcome, confidence: f64, at: u64) -> Self {
        Self {
            basis: Basis::Inferred,
            confidence: Some(confidence),
            ..Self::observed(outcome, at)
        }
    }
}

impl From<sealed::Belief> for Decision {
    fn from(belief: sealed::Belief) -> Self {
        let outcome = if belief.accepted {
            Outcome::Success
        } else {
            Outcome::Failed
        };
        Self {
            rest: belief.rest,
            rounds: belief.rounds,
            ..Self::inferred(outcome, belief.confidence, belief.at)
        }
    }
}
