//! A packet that comes later, and all after it.

use super::{
    Variant,
    whole::{self, is_in_handshake, next_phase},
};
use crate::sweep::{
    engine::{Input, Lines, lines},
    expect::{Expected, Same},
    packet::{FIN, RST, Side},
    sources::Connection,
    truth::Debtor,
};

const DELAYS: [u64; 2] = [700_000_000, 3_000_000_000];
const SLACK: u64 = 100_000;
/// A server closes sooner after a refusal.
const LINGERS: u64 = 1_000_000_000;

pub(super) fn each(connection: &Connection, take: &mut dyn FnMut(Variant)) {
    let all = Input {
        packets: connection.packets.clone(),
        until_ns: None,
    };
    let whole = lines(&all, connection.port);
    let mut sides = connection.packets.iter().map(|packet| packet.side);
    if !sides.any(|side| side == Side::Server) {
        // How long a client tries is its own business.
        return;
    }
    for index in 1..connection.packets.len() {
        if !connection.truth.states[index - 1].sound
            || connection.packets[..index]
                .iter()
                .any(|packet| packet.has(FIN | RST))
        {
            continue;
        }
        for by in DELAYS {
            // A server that has refused somebody does not let him stay; nothing but that shows.
            let lingers = index > whole::refused_unseen(connection) && by > LINGERS;
            if lingers {
                continue;
            }
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
    // A wait that was shorter than the round trip to the remote side was the network's: of a longer
    // one up to the whole of it is.
    same.share_ns = connection.round_trip() + SLACK;
    let mut what = "after the login".to_owned();
    if truth
        .decided
        .is_some_and(|(_, outcome)| outcome == "tls_failed")
        && state.over
    {
        // The alert decides, or the end that it announces.
        same = same.skipping(&["login.*_ns", "phases.tls.*"]);
    }
    if !state.over {
        let handshake = is_in_handshake(connection, index);
        let phase = next_phase(connection, index, state);
        let share = match state.owed {
            // A round trip that takes so long is one for all that shows.
            _ if handshake => None,
            Debtor::Owes(side) => Some(side.name()),
            Debtor::Unsure => None,
        };
        same.lengthen(phase, by, share);
        same.causes = causes(by, phase, share);
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

/// What may be told of a login that waited so long.
fn causes(by: u64, phase: &str, share: Option<&str>) -> Vec<&'static str> {
    const ANYBODYS: [&str; 3] = ["client_slow", "server_slow_accept", "network_slow"];
    if by < LINGERS {
        // It may have been slow before.
        return Vec::new();
    }
    match (share, phase) {
        (Some("client"), "auth") => vec!["client_slow", "federated_token_slow"],
        (Some("client"), _) => vec!["client_slow"],
        (Some("server"), "prelogin") => vec!["server_slow_prelogin"],
        (Some("server"), "tls") => vec!["server_slow_tls"],
        (Some("server"), "login") => vec!["server_slow_login"],
        (Some("server"), "auth") => vec!["domain_controller_slow", "server_slow_login"],
        _ => ANYBODYS.to_vec(),
    }
}
