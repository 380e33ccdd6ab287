//! One file per hook, and what they share.

mod classify;
mod clock;
mod log;
mod maps;
mod ring;
mod skb;
mod socket;
mod tell;
mod wake;
