//! How long a connection that has said nothing more is waited for, nanoseconds. The engine tells it
//! then, and who reads a capture forgets it a little later.

/// After a RST: for what was under way when it passed.
pub const AFTER_RESET: u64 = 1_000_000_000;
/// After the first of two FINs, where the other side's end does not come.
pub const HALF_OPEN: u64 = 60_000_000_000;
/// For an answer to a SYN or to a login.
pub const UNANSWERED: u64 = 120_000_000_000;
