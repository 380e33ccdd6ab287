//! What replay says of captures, without the kernel: of those of real clients as they are, and changed
//! in ways whose effect is known. Each folder is named for what is promised; what must be said follows
//! from the event contract, and times were read off the packets by another program.
//!
//! `told` and `packets` run the program; `script`, `hear` and `judge` ask the engine in this process,
//! for thousands of variants.

mod attempts;
mod authentication;
mod captures;
mod close;
mod diagnosis;
mod hear;
mod incidents;
mod inputs;
mod judge;
mod lookups;
mod loss;
mod mars;
mod outcomes;
mod output;
mod packets;
mod phases;
mod requests;
mod rewritten;
mod script;
mod segmentation;
mod strangers;
mod tls;
mod told;
mod waits;
