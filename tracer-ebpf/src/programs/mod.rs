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

/// The packet goes on to the next program (`TC_ACT_UNSPEC`, which is also `TCX_NEXT`).
const NEXT: i32 = -1;
