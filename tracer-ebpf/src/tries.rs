//! Calls of watched processes that failed before any packet: what the kernel keeps of them for the agent.

/// What was called.
pub mod call {
    /// `connect(2)`, of a TCP socket.
    pub const CONNECT: u16 = 1;
    /// `socket(2)`.
    pub const SOCKET: u16 = 2;
}

/// Calls that are counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Try {
    /// Where it was to go, network byte order, IPv4 as IPv4-mapped IPv6; zero of [`call::SOCKET`].
    pub address: [u32; 4],
    /// The process (thread group) id as the host sees it.
    pub pid: u32,
    /// Why it failed (`errno(3)`); 0 where it went on.
    pub errno: u32,
    /// The port, host byte order.
    pub port: u16,
    /// One of [`call`].
    pub call: u16,
}

/// How often, and when: nanoseconds of `CLOCK_BOOTTIME`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Tried {
    /// When the first of them was made.
    pub first: u64,
    /// When the last one had failed.
    pub last: u64,
    /// How many there were.
    pub count: u64,
    /// The name of the thread that called last.
    pub name: [u8; 16],
}
