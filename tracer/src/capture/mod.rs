//! Capture files and packets on standard input, turned into the events the kernel would have sent.
//!
//! The readers are generic over [`std::io::Read`], stream, and hold one packet in memory per open
//! file. They stop at the network header: what follows it is walked by the very code that runs in
//! the kernel.
//!
//! - [`open`]: a path or standard input, with gzip and zstd recognised by their magic numbers.
//! - [`reader`]: pcap and pcapng, one packet after the other.
//! - `timed`: the same, with times that its packets agree on.
//! - [`merge`]: several files as one, by time.
//! - [`link`]: from the link header to the network header.
//! - [`interfaces`]: which of them are the same in several files.
//! - [`tunnel`]: from an outer network header to the innermost one.
//! - `datagrams`: from a network header to what is asked of SQL Browser, and what it answers.
//! - `beside`: to a packet of another service that a login may wait for.
//! - [`shown`]: what of a packet is told.
//! - [`writer`]: pcapng, written.
//! - `sighted`: a packet as the tracker takes it in.
//! - [`checksum`]: which packets had not left their host when they were captured.
//! - [`tracker`]: connections, and the events the kernel would have told of them.

pub(crate) mod beside;
#[cfg(test)]
mod both_hosts;
pub mod checksum;
mod copies;
pub(crate) mod datagrams;
pub mod interfaces;
pub mod link;
pub mod merge;
pub mod open;
pub mod reader;
pub mod shown;
mod sighted;
#[cfg(test)]
mod test_files;
mod timed;
pub mod tracker;
pub mod tunnel;
mod window;
pub mod writer;

/// Reads a big-endian 16-bit number, `None` past the end.
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    let field = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes([field[0], field[1]]))
}

/// Reads a big-endian 32-bit number, `None` past the end.
fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes([field[0], field[1], field[2], field[3]]))
}
