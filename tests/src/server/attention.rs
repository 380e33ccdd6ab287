//! Attention: a client takes its request back (MS-TDS 2.2.1.7).

use super::token::{Reply, done};

/// The answer a client waits for before it may ask again.
pub fn answer(wide: bool) -> Reply {
    Reply::new(wide).done(done::ATTENTION)
}
