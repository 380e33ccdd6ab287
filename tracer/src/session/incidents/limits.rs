//! What makes an incident, and how often it is told.

use super::windowed::PARTS;
use crate::session::input::IncidentLimits;

/// An incident is told no more often than this, nanoseconds, and the longer it lasts the less.
pub(super) const UPDATE: u64 = 60_000_000_000;
/// However long it lasts, it is told so often.
const LONGEST: u64 = 16 * UPDATE;

/// What makes an incident.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// So many logins that go wrong.
    pub(super) logins: u32,
    /// Within this time, nanoseconds.
    pub(super) window: u64,
}

impl Limits {
    pub(super) fn of(limits: IncidentLimits) -> Self {
        Self {
            logins: limits.logins.max(1),
            window: limits.window.max(PARTS),
        }
    }

    /// The number of the part of a window that a moment is in.
    pub(super) const fn part(&self, at: u64) -> u64 {
        at / (self.window / PARTS)
    }

    /// When the next part begins.
    pub(super) const fn next_part(&self, at: u64) -> u64 {
        let length = self.window / PARTS;
        (at / length).saturating_add(1).saturating_mul(length)
    }
}

/// How long an incident is not told after such a pause.
pub(super) fn longer(pause: u64) -> u64 {
    pause.saturating_mul(2).min(LONGEST)
}
