//! Encryption: what was agreed, how it fails, and what shows of a login inside it.

mod agreed;
mod refused;
mod sealed;
mod tickets;
