//! The agent comes after some of a connection's packets.

use serde_json::Value;

use super::{Variant, whole};
use crate::{
    replay::field,
    sweep::{
        engine::{Input, Lines, lines},
        expect::{Expected, Joined},
        packet::{FIN, RST},
        sources::Connection,
        truth::Tcp,
    },
};

const PHASES: [&str; 7] = [
    "handshake",
    "prelogin",
    "tls",
    "login",
    "auth",
    "command",
    "mars",
];

pub(super) fn each(connection: &Connection, take: &mut dyn FnMut(Variant)) {
    let truth = &connection.truth;
    let all = from(connection, 0);
    let whole = lines(&all, connection.port);
    let up = truth.states.iter().position(|state| state.tcp == Tcp::Up);
    // One more, since the handshake's last ACK may tell where both sides began.
    let id = up.and_then(|up| id(&lines(&from(connection, up + 2), connection.port)));
    let last = connection
        .first_end()
        .unwrap_or(connection.packets.len() - 1);
    for first in 1..=last {
        // A second SYN begins the connection as well as the first.
        if connection.packets[first..]
            .iter()
            .any(|packet| packet.flags & 0x12 == 0x02)
        {
            continue;
        }
        take(Variant {
            group: "joined".to_owned(),
            label: format!("@{first}"),
            input: from(connection, first),
            expected: Expected::Joined(expected(connection, first, &whole, up, id.clone())),
        });
    }
}

fn from(connection: &Connection, first: usize) -> Input {
    let packets = connection.packets.get(first..).unwrap_or_default().to_vec();
    Input {
        packets,
        until_ns: None,
    }
}

fn id(lines: &Lines) -> Option<String> {
    let mut all = lines.closes.iter().chain(&lines.logins);
    all.find_map(|line| field(line, "connection.id")?.as_str().map(str::to_owned))
}

fn expected(
    connection: &Connection,
    first: usize,
    whole: &Lines,
    up: Option<usize>,
    id: Option<String>,
) -> Joined {
    let truth = &connection.truth;
    let is_over = truth.is_over_before(first);
    let left = &connection.packets[first..];
    // Nothing but acknowledgements and a FIN: it says nothing more before it ends, and is counted.
    let speaks = left.iter().any(|packet| !packet.payload().is_empty());
    let ends_badly = left
        .iter()
        .find(|packet| packet.has(FIN | RST))
        .is_some_and(|packet| packet.has(RST));
    // A message by which a login is known, in clear and from its first byte on.
    let begun_later = |phase| truth.beginning(phase).is_some_and(|begins| begins >= first);
    let shows_login = !is_over && !truth.sealed && begun_later("prelogin");
    let unseen = PHASES.into_iter().filter(|phase| match *phase {
        // It runs from the login's end, which must have been seen too.
        "command" | "mars" => is_over || !begun_later(phase),
        _ => !begun_later(phase),
    });
    let mut outcomes = whole::right(connection, |_, wait| vec![wait]);
    let told = whole
        .logins
        .first()
        .and_then(|login| login["login"]["outcome"].as_str());
    // Where the whole login is not understood, neither is its authentication.
    let is_partial = |login: &Value| login["connection"]["partial"] == true;
    let auth_is_known = !whole.logins.iter().any(is_partial)
        && (outcomes.is_empty() || outcomes.iter().any(|outcome| Some(*outcome) == told));
    if outcomes.is_empty() {
        outcomes.extend(OUTCOMES.into_iter().find(|outcome| Some(*outcome) == told));
        outcomes.extend(truth.decided.map(|(_, outcome)| outcome));
    }
    outcomes.push("unknown");
    let auth = whole
        .logins
        .first()
        .and_then(|login| field(login, "auth.kind"))
        .and_then(Value::as_str);
    Joined {
        logins: [usize::from(shows_login), usize::from(!is_over)],
        closes: [usize::from(speaks || ends_badly), 1],
        outcomes,
        unseen: unseen.collect(),
        auth_is_known,
        auth: auth.map(str::to_owned),
        of_the_login: !is_over,
        encryption: truth.encryption.clone(),
        id: id.filter(|_| up.is_some_and(|up| first > up + 1)),
    }
}

const OUTCOMES: [&str; 10] = [
    "redirected",
    "success",
    "failed",
    "refused",
    "unreachable",
    "timeout",
    "tls_failed",
    "reset",
    "closed",
    "aborted",
];
