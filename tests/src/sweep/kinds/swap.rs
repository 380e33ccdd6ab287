//! Packets of one side that arrive in another order.

use super::Variant;
use crate::sweep::{
    engine::{Input, lines},
    expect::{Expected, Same},
    packet::{Packet, RST, SYN},
    sources::Connection,
};

/// Orders of packets in a row: where each place's packet comes from.
const ORDERS: [(&str, &[usize]); 4] = [
    ("neighbours", &[1, 0]),
    ("first and third", &[2, 1, 0]),
    ("the first comes last", &[1, 2, 0]),
    ("1 3 5 2 4", &[0, 2, 4, 1, 3]),
];

pub(super) fn each(connection: &Connection, take: &mut dyn FnMut(Variant)) {
    let all = Input {
        packets: connection.packets.clone(),
        until_ns: None,
    };
    let whole = lines(&all, connection.port);
    for first in 0..connection.packets.len() {
        for (name, order) in ORDERS {
            let Some(row) = connection.packets.get(first..first + order.len()) else {
                continue;
            };
            if !is_row(row) || !connection.truth.states[first].sound {
                continue;
            }
            let mut packets = connection.packets.clone();
            for (place, from) in order.iter().enumerate() {
                packets[first + place] = row[*from].at(row[place].time_ns);
            }
            let mut same = Same::as_is(whole.clone()).skipping(&["timestamp"]);
            // What came first comes when the last did: a message inside may end that much sooner or
            // later.
            // As many as there were when the line was told.
            same = same.skipping(&["tcp.packets.*", "tcp.bytes.*"]);
            same.tolerance_ns = row[row.len() - 1].time_ns - row[0].time_ns;
            take(Variant {
                group: format!("{name} of the {}", row[0].side.name()),
                label: format!("@{first}"),
                input: Input {
                    packets,
                    until_ns: None,
                },
                expected: Expected::Same(Box::new(same)),
            });
        }
    }
}

/// No network keeps a packet back for longer.
const LATE: u64 = 200_000_000;

/// Whether packets follow each other in one side's stream, close enough to change places.
fn is_row(packets: &[Packet]) -> bool {
    let [first, .., last] = packets else {
        return false;
    };
    let follows = |pair: &[Packet]| pair[0].side == pair[1].side && pair[0].end() == pair[1].seq;
    last.time_ns - first.time_ns < LATE
        && packets.windows(2).all(follows)
        && packets
            .iter()
            .all(|packet| !packet.has(SYN | RST) && packet.end() != packet.seq)
}
