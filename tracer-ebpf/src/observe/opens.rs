//! Which segments open a flow, and of what kind.

use crate::packet::{Segment, tcp_flag};

/// Ports below are servers' (RFC 6335 §6): no system gives one to a client that asks for any.
const SYSTEM_PORTS: u16 = 1024;

/// Whether a segment may open a flow: a SYN, or payload or the end of a connection joined late, which
/// may be one that had to give way in the table.
#[inline(always)]
pub const fn opens_flow(segment: &Segment) -> bool {
    segment.flags & (tcp_flag::SYN | tcp_flag::FIN | tcp_flag::RST) != 0 || segment.payload_len > 1
}

/// What a segment of no known connection opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opens {
    /// Nothing.
    Nothing,
    /// A connection to a watched port.
    Watched {
        /// Whether the segment goes to the server.
        to_server: bool,
    },
    /// A connection to another port, from one that has a watched number.
    Foreign,
}

/// What a segment opens, by which of its ports are watched: the server's must be.
#[inline(always)]
pub const fn opens(segment: &Segment, from_watched: bool, to_watched: bool) -> Opens {
    if !opens_flow(segment) || !(from_watched || to_watched) {
        return Opens::Nothing;
    }
    if segment.has(tcp_flag::SYN) {
        let to_server = !segment.has(tcp_flag::ACK);
        let watched = if to_server { to_watched } else { from_watched };
        return if watched {
            Opens::Watched { to_server }
        } else {
            Opens::Foreign
        };
    }
    // Neither data nor an end says who serves: of two watched ports the lower one, which side `a` has.
    let to_server = to_watched && !(from_watched && segment.from_a);
    let (server, client) = if to_server {
        (segment.destination_port(), segment.source_port())
    } else {
        (segment.source_port(), segment.destination_port())
    };
    if client < SYSTEM_PORTS && server >= SYSTEM_PORTS {
        return Opens::Nothing;
    }
    Opens::Watched { to_server }
}
