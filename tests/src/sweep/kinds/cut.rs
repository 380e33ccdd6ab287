//! A connection that goes on as it did up to a packet; then nothing for three seconds, and an end.

use super::{
    Variant,
    whole::{DATA, LAST, SHORT, is_judged, like},
};
use crate::sweep::{
    engine::{Input, Lines, lines},
    expect::{Ended, Ending, Expected, outcomes, owed_by},
    packet::{ACK, FIN, Packet, RST, SYN, Side},
    sources::Connection,
    truth::{Debtor, State, Tcp},
};

const SILENCE: u64 = 3_000_000_000;
/// Between the packets of an end: a network's hop.
const STEP: u64 = 50_000;
/// Cuts after the login was decided.
const AFTER: usize = 3;
/// What a clock or a packet between may take of a wait.
const SLACK: u64 = 1_000_000;

pub(super) fn each(connection: &Connection, take: &mut dyn FnMut(Variant)) {
    let whole = whole(connection);
    let last = connection
        .truth
        .decided
        .map_or(usize::MAX, |(decided, _)| decided + 1 + AFTER);
    for kept in 1..=connection.packets.len().min(last) {
        let state = &connection.truth.states[kept - 1];
        // Who has said goodbye already does not begin to wait.
        let farewell = state.farewell && !state.over;
        if !state.sound
            || farewell
            || connection.packets[..kept]
                .iter()
                .any(|packet| packet.has(FIN | RST))
        {
            continue;
        }
        for ending in Ending::ALL {
            if let Some(expected) = expected(connection, kept, state, ending, &whole) {
                take(Variant {
                    group: format!("{ending:?} when {}", stands(state)),
                    label: format!("@{kept}"),
                    input: input(connection, kept, ending),
                    expected: Expected::Ended(expected),
                });
            }
        }
    }
}

fn whole(connection: &Connection) -> Lines {
    let input = Input {
        packets: connection.packets.clone(),
        until_ns: None,
    };
    lines(&input, connection.port)
}

/// Where a login stands, for a reader.
fn stands(state: &State) -> String {
    let sealed = if state.sealed { "sealed " } else { "" };
    if state.over {
        return format!("{sealed}login decided");
    }
    let debtor = match state.debtor {
        Debtor::Owes(side) => side.name(),
        Debtor::Unsure => "one side",
    };
    format!("{debtor} owes in {sealed}{}", state.phase)
}

fn expected(
    connection: &Connection,
    kept: usize,
    state: &State,
    ending: Ending,
    whole: &Lines,
) -> Option<Ended> {
    // An alert goes where both sides have TLS up; an attention takes back what was asked in clear.
    let up = state.tcp == Tcp::Up;
    let is_possible = match ending {
        Ending::CloseNotify => up && state.sealed,
        Ending::Attention => {
            let asked = state.debtor != Debtor::Owes(Side::Client)
                && matches!(state.phase, "login" | "auth");
            up && !state.sealed && state.phase != "tls" && (state.over || asked)
        }
        Ending::Fin(_) => up,
        Ending::Rst(_) | Ending::Nothing => true,
    };
    if !is_possible {
        return None;
    }
    let close = match ending.by() {
        // An unanswered SYN or one answered by RST is no connection to close.
        None => None,
        Some(_) if state.tcp != Tcp::Up => None,
        Some(by) => Some((
            by.name(),
            if matches!(ending, Ending::Rst(_)) {
                "rst"
            } else {
                "fin"
            },
        )),
    };
    if state.over {
        return Some(decided(connection, kept, state, close, whole));
    }
    debug_assert!(is_judged(state));
    let first = connection.packets.first()?.time_ns;
    let end = connection.packets[kept - 1].time_ns + SILENCE;
    let wait = end.saturating_sub(state.since_ns);
    let mut expected = Ended {
        outcomes: outcomes(state, ending, wait)?,
        owed_by: owed_by(state, ending, wait),
        close,
        ..Ended::default()
    };
    if state.sealed_replies > 0 && state.debtor == Debtor::Owes(Side::Client) {
        // A challenge inside TLS may be a refusal for all that shows, but no acknowledgement, and
        // the server has answered.
        expected.outcomes.clear();
        expected.owed_by.clear();
        expected.never = vec!["redirected", "timeout"];
        // One of that size may be an acknowledgement, and is believed to be with little confidence.
        let said = connection.packets[..kept].iter();
        let reply = said
            .filter(|packet| packet.side == Side::Server)
            .rfind(|packet| !packet.payload().is_empty());
        if reply.is_none_or(|reply| reply.payload().len() <= SHORT_REPLY) {
            expected.never.push("success");
        }
        return Some(expected);
    }
    // The server's message never came, or the server left in the middle of the login.
    let owed = state.debtor == Debtor::Owes(Side::Server);
    expected.abnormal = up && ending != Ending::Nothing && owed;
    if ending == Ending::Nothing {
        if state.tcp == Tcp::Syn {
            // It runs to the last packet of the attempt.
            let last = connection.packets[kept - 1].time_ns - first;
            expected.duration = Some([last, last]);
        }
        return Some(expected);
    }
    let lasts = end - first;
    expected.duration = Some([lasts, lasts + SLACK]);
    if state.tcp != Tcp::Syn {
        let sides = match state.debtor {
            Debtor::Owes(side) => vec![side.name()],
            Debtor::Unsure => vec!["client", "server"],
        };
        // Of the remote side's wait up to a round trip is the network's.
        expected.wait = Some((
            sides,
            SILENCE - SLACK - connection.round_trip().min(SILENCE / 2),
        ));
        expected.phase = match (state.debtor, state.phase) {
            (Debtor::Unsure, _) => {
                expected.wait = None;
                Vec::new()
            }
            // A client that has said nothing yet may be one of TDS 8.0.
            (_, "prelogin") if !state.spoken => vec!["prelogin", "tls"],
            (_, phase) => vec![phase],
        };
    }
    Some(expected)
}

/// A login that was decided keeps its outcome and its phases, whatever ends the connection.
fn decided(
    connection: &Connection,
    kept: usize,
    state: &State,
    close: Option<(&'static str, &'static str)>,
    whole: &Lines,
) -> Ended {
    let truth = &connection.truth;
    let (_, outcome) = truth.decided.unwrap_or((kept, "unknown"));
    let mut expected = Ended {
        close,
        ..Ended::default()
    };
    if !truth.sealed {
        expected.outcomes = vec![outcome];
        if outcome == "tls_failed" {
            // The alert decides, or the end that it announces, which then never came.
            let unended = close.is_none().then_some("unknown");
            expected.outcomes.extend(unended);
        } else {
            expected.owed_by = vec![None];
            expected.decided = phases_of(whole);
        }
        return expected;
    }
    let clear_by_size = outcome == "success" && truth.sealed_reply > SHORT;
    if clear_by_size && may_be_exchange(connection, kept, state) {
        // An acknowledgement and a request, or a challenge and the answer to it: sizes alone do not say.
        return expected;
    }
    if clear_by_size {
        // A long reply, and the connection stays: nobody lets a refused client stay.
        expected.outcomes = vec!["success"];
        expected.owed_by = vec![None];
        expected.decided = phases_of(whole);
    } else if outcome == "success" && state.after > 0 {
        // A short acknowledgement with a request behind it is one; with a token it is a challenge.
        expected.owed_by = vec![None, Some("server")];
    } else {
        // Answered is answered: the client gave nothing up.
        expected.never = vec!["timeout", "unreachable", "refused"];
    }
    expected
}

/// Whether a reply has the size of an NTLM challenge too, and what followed it that of a response.
fn may_be_exchange(connection: &Connection, kept: usize, state: &State) -> bool {
    const CHALLENGE: std::ops::RangeInclusive<u64> = 150..=1300;
    const RESPONSE: std::ops::RangeInclusive<usize> = 200..=1700;
    let last = connection.packets[..kept]
        .iter()
        .rfind(|packet| !packet.payload().is_empty());
    let response = last.is_some_and(|packet| {
        packet.side == Side::Client && RESPONSE.contains(&packet.payload().len())
    });
    let challenge = CHALLENGE.contains(&(connection.truth.sealed_reply as u64));
    state.after == 1 && challenge && response
}

/// A segment with a longer record may hold an acknowledgement.
const SHORT_REPLY: usize = 355;

/// What the unchanged login's phases took.
fn phases_of(whole: &Lines) -> Vec<(String, u64)> {
    let login = whole.logins.first();
    let phases = login.map(crate::expect::line_phases).unwrap_or_default();
    let own = phases
        .into_iter()
        .filter(|(name, ..)| crate::expect::LOGIN_PHASES.contains(&name.as_str()));
    own.map(|(name, _, duration)| (name, duration)).collect()
}

/// The packets up to the cut, and the end.
fn input(connection: &Connection, kept: usize, ending: Ending) -> Input {
    let mut packets = connection.packets[..kept].to_vec();
    let at = packets[kept - 1].time_ns + SILENCE;
    if ending == Ending::Nothing {
        return Input {
            packets,
            until_ns: Some(at),
        };
    }
    let mut line = Wire::of(connection, &packets);
    match ending {
        Ending::Rst(side) => packets.push(line.say(side, at, RST | ACK, &[])),
        Ending::Fin(side) => packets.extend(line.farewell(side, at)),
        Ending::CloseNotify => {
            // In TLS 1.3 an alert looks like data: two bytes, their type and a tag of sixteen.
            let (kind, length) = if connection.truth.tls13 {
                (23, 19)
            } else {
                (21, 26)
            };
            let mut record = vec![kind, 3, 3, 0, length];
            record.resize(5 + usize::from(length), 0xA5);
            packets.push(line.say(Side::Client, at, DATA, &record));
            packets.extend(line.farewell(Side::Client, at + STEP));
        }
        Ending::Attention => {
            packets.push(line.say(Side::Client, at, DATA, &[6, 1, 0, 8, 0, 0, 1, 0]));
            packets.extend(line.farewell(Side::Client, at + STEP));
        }
        Ending::Nothing => {}
    }
    Input {
        packets,
        until_ns: None,
    }
}

/// Where both sides' streams stand.
struct Wire {
    like: [Packet; 2],
    next: [u32; 2],
}

impl Wire {
    fn of(connection: &Connection, packets: &[Packet]) -> Self {
        let like = [Side::Client, Side::Server].map(|side| like(connection, side));
        let next = [Side::Client, Side::Server].map(|side| {
            let own = packets.iter().filter(|packet| packet.side == side);
            let first = own
                .clone()
                .find(|packet| packet.has(SYN))
                .map_or(0, |packet| packet.seq);
            let ends = own.map(|packet| packet.end().wrapping_sub(first));
            first.wrapping_add(ends.max().unwrap_or(0))
        });
        Self { like, next }
    }

    fn say(&mut self, side: Side, at: u64, flags: u8, payload: &[u8]) -> Packet {
        let numbers = [self.next[side as usize], self.next[side.other() as usize]];
        let packet = self.like[side as usize].says(at, flags, numbers, payload);
        self.next[side as usize] = packet.end();
        packet
    }

    /// Four packets with which a connection closes in order; the other side's ACK rides on its FIN.
    fn farewell(&mut self, side: Side, at: u64) -> [Packet; 3] {
        [
            self.say(side, at, LAST, &[]),
            self.say(side.other(), at + STEP, LAST, &[]),
            self.say(side, at + 2 * STEP, ACK, &[]),
        ]
    }
}
