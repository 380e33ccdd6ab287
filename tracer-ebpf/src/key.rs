//! Which connection a packet belongs to.

/// A connection without direction: the side with the lower port is `a`, with equal ports the one
/// with the lower address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct FlowKey {
    /// Address of side `a`, network byte order; IPv4 as IPv4-mapped IPv6.
    pub a: [u32; 4],
    /// Address of side `b`.
    pub b: [u32; 4],
    /// Port of side `a`.
    pub a_port: u16,
    /// Port of side `b`.
    pub b_port: u16,
}

impl FlowKey {
    /// How many slots there are.
    pub const SLOTS: u32 = 1 << 16;

    /// The connection's place in a table that is not searched. The connections of one client to one
    /// server each have their own.
    #[inline(always)]
    pub const fn slot(&self) -> u32 {
        let hosts = self.a[3] ^ self.b[3];
        (hosts ^ (hosts >> 16) ^ self.b_port as u32) & (Self::SLOTS - 1)
    }

    /// The key of a packet, and whether its sender is side `a`.
    #[inline(always)]
    pub const fn of(
        source: [u32; 4],
        source_port: u16,
        destination: [u32; 4],
        destination_port: u16,
    ) -> (Self, bool) {
        let from_a = source_port < destination_port
            || (source_port == destination_port && before(&source, &destination));
        if from_a {
            (
                Self {
                    a: source,
                    b: destination,
                    a_port: source_port,
                    b_port: destination_port,
                },
                true,
            )
        } else {
            (
                Self {
                    a: destination,
                    b: source,
                    a_port: destination_port,
                    b_port: source_port,
                },
                false,
            )
        }
    }
}

/// An IPv4 address in network byte order as an IPv4-mapped IPv6 one (RFC 4291 §2.5.5.2).
#[inline(always)]
pub const fn mapped(address: u32) -> [u32; 4] {
    [0, 0, u32::from_ne_bytes([0, 0, 0xFF, 0xFF]), address]
}

#[inline(always)]
const fn before(left: &[u32; 4], right: &[u32; 4]) -> bool {
    // Any total order will do; unrolled, since the kernel's verifier would walk a loop each time.
    if left[3] != right[3] {
        return left[3] < right[3];
    }
    if left[2] != right[2] {
        return left[2] < right[2];
    }
    if left[1] != right[1] {
        return left[1] < right[1];
    }
    left[0] < right[0]
}
