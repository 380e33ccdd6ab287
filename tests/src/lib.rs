//! Peers and hosts for the tests of the whole.

pub mod replay;
pub mod sequences;
