//! A connection as it is: its login is called what its bytes say.

use super::Variant;
use crate::sweep::{
    engine::Input,
    expect::{Ended, Ending, Expected, outcomes},
    packet::{ACK, FIN, PSH, RST, Side},
    sources::Connection,
    truth::{State, Tcp},
};

pub(super) fn each(connection: &Connection, take: &mut dyn FnMut(Variant)) {
    take(Variant {
        group: "as it is".to_owned(),
        label: String::new(),
        input: Input {
            packets: connection.packets.clone(),
            until_ns: None,
        },
        expected: Expected::Ended(Ended {
            outcomes: right(connection, |_, wait| vec![wait]),
            waits: (connection.truth.waits.clone(), connection.round_trip()),
            ..Ended::default()
        }),
    });
}

/// What the login may be called as it ends, if the last wait were as long as `stretched` makes it of
/// the packets that began and ended it; nothing where that is not known.
pub(super) fn right(
    connection: &Connection,
    stretched: impl Fn([usize; 2], u64) -> Vec<u64>,
) -> Vec<&'static str> {
    let truth = &connection.truth;
    if let Some((_, outcome)) = truth.decided {
        // What was staged inside TLS shows as far as size and order go, and a redirect only by the
        // connection that follows.
        return match outcome {
            "redirected" if truth.sealed => Vec::new(),
            _ if truth.sealed && truth.sealed_reply <= SHORT => Vec::new(),
            _ => vec![outcome],
        };
    }
    let packets = &connection.packets;
    let Some(end) = connection.first_end().filter(|end| *end > 0) else {
        return Vec::new();
    };
    let before = &truth.states[end - 1];
    let packet = &packets[end];
    // Data with the FIN may be what was owed.
    if !is_judged(before) || !packet.payload().is_empty() {
        return Vec::new();
    }
    let ending = if packet.has(RST) {
        Ending::Rst(packet.side)
    } else {
        Ending::Fin(packet.side)
    };
    let wait = packet.time_ns.saturating_sub(before.since_ns);
    let opened = packets[..end]
        .iter()
        .rposition(|packet| packet.time_ns <= before.since_ns);
    let waits = stretched([opened.unwrap_or(0), end], wait);
    waits
        .into_iter()
        .filter_map(|wait| outcomes(before, ending, wait))
        .flatten()
        .collect()
}

/// A reply of SQL Server's that lets the client in is longer than this (accuracy.md).
pub(super) const SHORT: usize = 350;

/// Whether what a state says may be asked of the agent.
pub(super) fn is_judged(state: &State) -> bool {
    state.sound && !state.over
}

/// The flags of an ordinary packet with data.
pub(super) const DATA: u8 = PSH | ACK;
/// The flags of a side's last packet.
pub(super) const LAST: u8 = FIN | ACK;

/// Whether a side's packets before this one are the connection's handshake.
pub(super) fn is_in_handshake(connection: &Connection, index: usize) -> bool {
    connection.truth.states[..index]
        .iter()
        .all(|state| state.tcp != Tcp::Up)
}

/// The other packets of this side, for others like them.
pub(super) fn like(connection: &Connection, side: Side) -> crate::sweep::packet::Packet {
    let own = connection.packets.iter().find(|packet| packet.side == side);
    own.cloned()
        .unwrap_or_else(|| connection.packets[0].turned())
}

/// Where a login was refused or sent elsewhere inside TLS, which shows only by what follows.
pub(super) fn refused_unseen(connection: &Connection) -> usize {
    let truth = &connection.truth;
    let refused = truth
        .decided
        .filter(|(_, outcome)| truth.sealed && *outcome != "success");
    refused.map_or(usize::MAX, |(decided, _)| decided)
}

/// The phase that lasts before a packet, where a login stands so before it.
pub(super) fn next_phase(connection: &Connection, index: usize, state: &State) -> &'static str {
    connection.truth.lasting(index, state.phase)
}
