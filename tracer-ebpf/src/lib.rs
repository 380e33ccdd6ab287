//! The contract between the kernel half and the agent, and the rules both halves share.
//!
//! The kernel programs, the replay of captures, the fuzzers and the tests all run this code: how a
//! packet is walked ([`packet`]), what a connection remembers ([`flow`]), where the next message
//! header is ([`framing`]), what of a message leaves the kernel ([`wanted`]), and what is told
//! about it ([`event`], [`short`], [`tally`]); which datagrams and connections are told beside them ([`datagram`], [`beside`]). [`observe`] puts them
//! together, one packet at a time.
//!
//! Nothing here allocates, panics, or depends on anything.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![expect(
    clippy::inline_always,
    reason = "the verifier follows packet pointers only within one function"
)]

pub mod beside;
pub mod bytes;
pub mod config;
pub mod datagram;
pub mod dropped;
pub mod event;
pub mod first;
pub mod flow;
pub mod framing;
pub mod holes;
pub mod key;
mod layout;
pub mod loss;
pub mod observe;
pub mod opening;
pub mod packet;
pub mod patience;
pub mod seq;
pub mod short;
pub mod tally;
#[cfg(test)]
mod test_messages;
pub mod tries;
pub mod wanted;
