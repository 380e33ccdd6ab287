//! One file per hook, and what they share.

mod classify;
mod maps;
mod ring;
mod skb;
mod socket;
mod tell;
