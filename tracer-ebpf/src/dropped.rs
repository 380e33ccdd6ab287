//! Packets of watched connections that the kernel threw away: what it keeps of them for the agent.

/// How many reasons there may be: those of the kernel itself, without those of its modules.
pub const REASONS: u32 = 256;
/// Directions of connections that are remembered; the one that was seen the longest time ago gives way.
pub const MOST: u32 = 1024;

/// Packets that are counted together: those of one direction of a connection, as they were when they were
/// dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Direction {
    /// Where they come from, network byte order, IPv4 as IPv4-mapped IPv6.
    pub source: [u32; 4],
    /// Where they were to go.
    pub destination: [u32; 4],
    /// The source's port, host byte order.
    pub source_port: u16,
    /// The destination's.
    pub destination_port: u16,
}

/// How many, when and why: nanoseconds of `CLOCK_BOOTTIME`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Dropped {
    /// When the first of them was dropped.
    pub first: u64,
    /// When the last one was.
    pub last: u64,
    /// How many there were.
    pub count: u32,
    /// Why the last one was: the kernel's own number (`enum skb_drop_reason`).
    pub reason: u32,
}

/// Where the kernel has what is read of a packet: bytes from the beginning of its `struct sk_buff`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Layout {
    /// Its memory.
    pub head: u32,
    /// Where in that memory the network header is.
    pub network_header: u32,
    /// Its EtherType.
    pub protocol: u32,
}
