//! What follows from the ledger and from TCP: pure functions.

pub(in crate::session) mod close;
pub(in crate::session) mod outcome;
pub(in crate::session) mod phases;
pub(in crate::session) mod waits;
