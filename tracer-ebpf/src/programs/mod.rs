//! One file per hook, and what they share.

mod announced;
mod ask;
mod beside;
mod candidate;
mod classify;
mod clock;
mod datagrams;
mod endpoint;
mod flood;
mod follow;
mod hook;
mod log;
mod maps;
mod passing;
mod ring;
mod skb;
mod socket;
mod stage;
mod storage;
mod syns;
mod table;
mod tallies;
mod tell;
mod traffic;
mod tries;
mod wake;
