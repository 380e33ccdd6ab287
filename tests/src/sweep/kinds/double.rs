//! A packet that was captured twice, and one that was sent twice because its first copy was lost.

use super::{
    Variant,
    whole::{self, next_phase},
};
use crate::sweep::{
    engine::{Input, Lines, lines},
    expect::{Expected, Same},
    packet::{FIN, RST, SYN, Side},
    sources::Connection,
};

/// A mirror's copy comes a moment later.
const MOMENT: u64 = 2_000;
/// The first wait before a packet is sent again.
const AGAIN: u64 = 1_000_000_000;
const SLACK: u64 = 1_000_000;

pub(super) fn each(connection: &Connection, take: &mut dyn FnMut(Variant)) {
    let all = Input {
        packets: connection.packets.clone(),
        until_ns: None,
    };
    let whole = lines(&all, connection.port);
    for index in 0..connection.packets.len() {
        take(mirrored(connection, index, &whole));
        if let Some(variant) = sent_again(connection, index, &whole) {
            take(variant);
        }
    }
}

fn mirrored(connection: &Connection, index: usize, whole: &Lines) -> Variant {
    let mut packets = connection.packets.clone();
    let next = packets.get(index + 1).map_or(u64::MAX, |next| next.time_ns);
    let copy = packets[index].at((packets[index].time_ns + MOMENT).min(next));
    packets.insert(index + 1, copy);
    Variant {
        group: "captured twice".to_owned(),
        label: format!("@{index}"),
        input: Input {
            packets,
            until_ns: None,
        },
        // The last packet's copy is the last packet.
        expected: Expected::Same(Box::new(Same::as_is(whole.clone()).skipping(&[
            "timestamp",
            "phases.close.*",
            "close.duration_ns",
        ]))),
    }
}

/// The first copy passes here and is lost; the other side hears the second one, and all goes on from
/// there, a second later.
fn sent_again(connection: &Connection, index: usize, whole: &Lines) -> Option<Variant> {
    let packet = &connection.packets[index];
    let before = index
        .checked_sub(1)
        .map(|before| connection.truth.states[before]);
    let is_over = connection.truth.is_over_before(index);
    let is_syn = packet.has(SYN);
    let sound = before.is_none_or(|before| before.sound);
    // After an end nothing is waited for; a SYN that nobody answers is sent again anyway.
    let has_ended = connection.packets[..index]
        .iter()
        .any(|packet| packet.has(FIN | RST));
    let mut sides = connection.packets.iter().map(|packet| packet.side);
    let is_answered = sides.any(|side| side == Side::Server);
    if has_ended
        || !is_answered
        || packet.has(FIN | RST)
        || packet.payload().is_empty() && !is_syn
        || !sound
        || is_over
    {
        return None;
    }
    let mut packets = connection.packets.clone();
    for later in &mut packets[index + 1..] {
        later.time_ns += AGAIN;
    }
    packets.insert(index + 1, packet.again(packet.time_ns + AGAIN));
    let outcomes = whole::right(connection, |[opened, end], wait| match index {
        // Since which copy an answer is owed may be read either way.
        index if index == opened => vec![wait, wait + AGAIN],
        index if (opened..end).contains(&index) => vec![wait + AGAIN],
        _ => vec![wait],
    });
    let side = packet.side.name();
    let mut same = Same::as_is(whole.clone()).skipping(&[
        "timestamp",
        "tcp.*",
        "auth.*",
        "login.confidence",
        "login.owed_by",
        "requests.*",
        "phases.close.*",
        "phases.*.retransmits",
        // More packets, more votes.
        "connection.vantage",
        "phases.command.*",
        "phases.mars.*",
    ]);
    same.outcomes = outcomes;
    same.causes = vec!["packet_loss"];
    // A round trip is not taken from what was sent twice: then none is the network's elsewhere.
    same.share_ns = connection.round_trip() + SLACK;
    // From the first to the last copy the time is the network's, whoever sent it.
    let state = &connection.truth.states[index];
    if !state.over {
        same.lengthen(
            next_phase(connection, index + 1, state),
            AGAIN,
            Some("network"),
        );
    }
    let what = match (is_syn, packet.side) {
        (true, Side::Client) => "SYN".to_owned(),
        (true, Side::Server) => "SYN-ACK".to_owned(),
        _ => format!("packet of the {side} in {}", phase(connection, index)),
    };
    Some(Variant {
        group: format!("sent twice: {what}"),
        label: format!("@{index}"),
        input: Input {
            packets,
            until_ns: None,
        },
        expected: Expected::Same(Box::new(same)),
    })
}

/// The phase that lasts after a packet: what its first copy ends has ended.
fn phase(connection: &Connection, index: usize) -> &'static str {
    connection.truth.states[index].phase
}
