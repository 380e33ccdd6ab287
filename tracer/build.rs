//! Builds the kernel programs and places the object where the agent embeds it from.

fn main() {}
