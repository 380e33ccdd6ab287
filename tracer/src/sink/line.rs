//! A record as it is handed to what writes or sends it.

use crate::record::{Event, Severity, Timestamp};

/// A rendered record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What happened.
    pub event: Event,
    /// How much it matters.
    pub severity: Severity,
    /// The packet or moment that decided it.
    pub at: Timestamp,
    /// As it is written, its newline included.
    pub bytes: Vec<u8>,
}

impl Line {
    /// Without what ends it.
    pub fn text(&self) -> &[u8] {
        self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes)
    }
}
