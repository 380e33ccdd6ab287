//! A packet that comes later, and all after it.

use super::{
    Variant,
    whole::{self, is_in_handshake, next_phase},
};
use crate::sweep::{
    engine::{Input, Lines, lines},
    expect::{Expected, Same},
    packet::{FIN, RST},
    sources::Connection,
    truth::Debtor,
};

const DELAYS: [u64; 2] = [700_000_000, 3_000_000_000];
const SLACK: u64 = 100_000;

pub(super) fn each(connection: &Connection, take: &mut dyn FnMut(Variant)) {
    let all = Input {
        packets: connection.packets.clone(),
        until_ns: None,
    };
    let whole = lines(&all, connection.port);
    for index in 1..connection.packets.len() {
        if !connection.truth.states[index - 1].sound
            || connection.packets[..index]
                .iter()
                .any(|packet| packet.has(FIN | RST))
        {
            continue;
        }
        for by in DELAYS {
            take(variant(connection, index, by, &whole));
        }
    }
}

fn variant(connection: &Connection, index: usize, by: u64, whole: &Lines) -> Variant {
    let mut packets = connection.packets.clone();
    for later in &mut packets[index..] {
        later.time_ns += by;
    }
    let truth = &connection.truth;
    let state = &truth.states[index - 1];
    let mut same = Same::as_is(whole.clone()).skipping(&[
        "timestamp",
        "auth.controller_ns",
        "auth.entra.*",
        "login.confidence",
        "requests.*",
        // As many as there were when the line was told.
        "tcp.packets.*",
        "tcp.bytes.*",
        "phases.command.*",
        "phases.mars.*",
        "phases.close.*",
        "login.late_reply_ns",
    ]);
    same.outcomes = whole::right(connection, |[opened, end], wait| {
        vec![if (opened + 1..=end).contains(&index) {
            wait + by
        } else {
            wait
        }]
    });
    same.share_ns = SLACK;
    let mut what = "after the login".to_owned();
    if !state.over {
        let handshake = is_in_handshake(connection, index);
        let phase = next_phase(connection, index, state);
        let share = match state.debtor {
            // A round trip that takes so long is one for all that shows.
            _ if handshake => None,
            Debtor::Owes(side) => Some(side.name()),
            Debtor::Unsure => None,
        };
        same.lengthen(phase, by, share);
        if handshake {
            same = same.skipping(&["tcp.rtt_ns", "phases.*"]);
        }
        // A wait of a second and more is named where the login ends unanswered.
        same = same.skipping(&["login.owed_by"]);
        what = format!(
            "{} owes in {}{phase}",
            share.unwrap_or("one side"),
            if state.sealed { "sealed " } else { "" }
        );
    }
    Variant {
        group: format!("later by {} ms, {what}", by / 1_000_000),
        label: format!("@{index}"),
        input: Input {
            packets,
            until_ns: None,
        },
        expected: Expected::Same(Box::new(same)),
    }
}
