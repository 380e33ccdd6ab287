//! What must be said of a variant, and what is wrong in what is said.

mod ended;
mod ending;
mod gapped;
mod joined;
mod lines;
mod same;

pub use self::{
    ended::Ended,
    ending::{Ending, outcomes, owed_by},
    gapped::Gapped,
    joined::Joined,
    same::Same,
};
use super::engine::Lines;

/// What must be said of a variant.
#[derive(Debug)]
pub enum Expected {
    /// A login that ends as it is given.
    Ended(Ended),
    /// A connection that is older than the agent.
    Joined(Joined),
    /// What is said of the unchanged connection, but for what the change means.
    Same(Box<Same>),
    /// The same, or less.
    Gapped(Box<Gapped>),
}

impl Expected {
    /// What is wrong: each `what: how`.
    pub fn judge(&self, said: &Lines) -> Vec<String> {
        match self {
            Self::Ended(expected) => expected.judge(said),
            Self::Joined(expected) => expected.judge(said),
            Self::Same(expected) => expected.judge(said),
            Self::Gapped(expected) => expected.judge(said),
        }
    }
}
