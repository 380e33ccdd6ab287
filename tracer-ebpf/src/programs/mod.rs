//! One file per hook, and what they share.
//!
//! Hooks: [`traffic`] (packets of sockets; [`parts`] goes on where there is something to tell), [`classify`] (packets
//! of interfaces), [`asking`] (processes), [`tcp`] (the kernel's TCP), [`tries`] (system calls). Behind tail calls of
//! the first: [`ask`], [`beside`], [`datagrams`], [`announced`].

mod announced;
mod ask;
mod asking;
mod beside;
mod candidate;
mod classify;
mod clock;
mod datagrams;
mod endpoint;
mod facing;
mod flood;
mod follow;
mod holder;
mod hook;
mod log;
mod maps;
mod parts;
mod passing;
mod quiet;
mod ring;
mod scratch;
mod skb;
mod stage;
mod storage;
mod syns;
mod table;
mod tallies;
mod tcp;
mod tell;
mod traffic;
mod tries;
mod verdict;
mod wake;
mod words;
