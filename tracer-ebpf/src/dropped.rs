//! Packets of watched connections that the kernel threw away, and resets that it sent: what it keeps of them for the agent.

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

impl Direction {
    /// The other way.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
        }
    }
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
    /// Why the last one was: the kernel's own number (`enum skb_drop_reason`; of a reset `enum sk_rst_reason`).
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

/// Where the kernel has what is read of a socket: bytes from the beginning of its `struct inet_sock`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SocketLayout {
    /// Its family of addresses.
    pub family: u32,
    /// Its own address and its peer's, of IPv4.
    pub here4: u32,
    /// See [`Self::here4`].
    pub there4: u32,
    /// The same of IPv6.
    pub here6: u32,
    /// See [`Self::here6`].
    pub there6: u32,
    /// Its own port, network byte order.
    pub local_port: u32,
    /// Its peer's.
    pub remote_port: u32,
}
