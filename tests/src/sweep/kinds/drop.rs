//! A packet that was sent and received, and not captured.

use super::{Variant, whole};
use crate::sweep::{
    engine::{Input, lines},
    expect::{Expected, Gapped},
    packet::{FIN, RST, SYN},
    sources::Connection,
    truth::Tcp,
};

pub(super) fn each(connection: &Connection, take: &mut dyn FnMut(Variant)) {
    let all = Input {
        packets: connection.packets.clone(),
        until_ns: None,
    };
    let whole = lines(&all, connection.port);
    let right = whole::right(connection, |_, wait| vec![wait]);
    let packets = &connection.packets;
    // Without its SYN a connection is joined late; the end is looked at where it is cut.
    for index in 1..packets.len() {
        let packet = &packets[index];
        if packet.has(SYN | FIN | RST) || !connection.truth.states[index].sound {
            continue;
        }
        let has_hole = !packet.payload().is_empty();
        // Where a SYN brought data, nothing else of the client shows the handshake's end so soon.
        let fast_open = packets[0].has(SYN) && !packets[0].payload().is_empty();
        if fast_open && !has_hole {
            continue;
        }
        let before = packets[index - 1].time_ns;
        let after = packets
            .get(index + 1)
            .map_or(packet.time_ns, |packet| packet.time_ns);
        let mut left = packets.clone();
        left.remove(index);
        let is_handshake = connection.truth.states[index].tcp != Tcp::Up
            || connection.truth.states[index - 1].tcp != Tcp::Up;
        let mut outcomes = right.clone();
        if !outcomes.is_empty() && has_hole && !is_needless(connection, index) {
            outcomes.push("unknown");
        }
        take(Variant {
            group: format!("lost {}", what(connection, index)),
            label: format!("@{index}"),
            input: Input {
                packets: left,
                until_ns: None,
            },
            expected: Expected::Gapped(Box::new(Gapped {
                whole: whole.clone(),
                outcomes,
                has_hole,
                border_ns: if has_hole || is_handshake {
                    after - before.min(after)
                } else {
                    0
                },
            })),
        });
    }
}

/// Whether the outcome does not hang on a packet: it lies in clear in a later one, or the packet
/// came after it.
fn is_needless(connection: &Connection, index: usize) -> bool {
    let truth = &connection.truth;
    let Some((decided, _)) = truth.decided.filter(|_| !truth.sealed) else {
        return false;
    };
    // Whether an alert ends a handshake hangs on the handshake.
    if truth
        .decided
        .is_some_and(|(_, outcome)| outcome == "tls_failed")
    {
        return false;
    }
    let packets = &connection.packets;
    let side = packets[decided].side;
    // The deciding message: what its side says after the last word of the other.
    let asked = packets[..decided]
        .iter()
        .rposition(|packet| packet.side != side && !packet.payload().is_empty());
    !(asked.unwrap_or(0)..=decided).contains(&index)
}

fn what(connection: &Connection, index: usize) -> String {
    let packet = &connection.packets[index];
    let state = &connection.truth.states[index];
    if packet.payload().is_empty() {
        return "acknowledgement".to_owned();
    }
    let over = connection.truth.is_over_before(index);
    let phase = if over {
        "command"
    } else {
        connection.truth.states[index - 1].phase
    };
    let sealed = if state.sealed { "sealed " } else { "" };
    format!("{sealed}packet of the {} in {phase}", packet.side.name())
}
