//! Sealed records put together: the handshake's end, session tickets, farewells, and turns.

use super::{
    records::{Record, Terms},
    sizes::{
        FINISHED, LONGEST_PRELOGIN_REPLY, MAX_BEFORE_FINISHED, PRELOGIN_REPLY, SHORT_REPLY,
        SHORTEST_LOGIN, SHORTEST_TICKET, WHOLE_PRELOGIN, is_alert, is_full_packet, is_key_update,
    },
};
use crate::session::input::Side;

/// Session tickets that a server sends at once.
const MAX_TICKETS: usize = 8;
/// A reply's records follow each other faster than this, nanoseconds; tickets come before the server
/// has looked at a login.
const WITHIN_REPLY: u64 = 1_000_000;

/// Records of one side without one of the other between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Turn {
    pub(in crate::session) side: Side,
    /// When its first byte passed.
    pub(in crate::session) from: u64,
    /// When its last byte did.
    pub(in crate::session) to: u64,
    /// Bytes of its records.
    pub(super) bytes: u64,
    /// Which record is its first.
    pub(super) first: usize,
    /// How long that is.
    pub(super) first_len: u32,
    /// Its records.
    pub(super) count: u32,
}

/// What the sealed records of a login say.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct Reading {
    pub(super) terms: Terms,
    /// TLS 1.3: when the client's handshake had passed.
    pub(in crate::session) finished: Option<u64>,
    /// What both sides said after the handshake, in turn.
    pub(super) turns: Vec<Turn>,
    /// When the client said that it ends TLS.
    pub(in crate::session) client_bye: Option<u64>,
    /// The client took its login back.
    pub(in crate::session) attention: bool,
}

/// Reads the records of a login from the start.
pub(super) fn read(records: &[Record], terms: Terms) -> Reading {
    let mut reading = Reading {
        terms,
        ..Reading::default()
    };
    let mut first = 0;
    if terms.tls13 {
        let Some(finished) = finished(records) else {
            return reading;
        };
        reading.finished = Some(records[finished].to);
        first = finished + 1;
    }
    let tickets = tickets(&records[first..], terms);
    for (place, record) in records.iter().enumerate().skip(first) {
        let is_ticket = tickets.contains(&(place - first));
        if record.wrapped || is_ticket || reading.is_control(record) {
            continue;
        }
        // Nothing is asked for before the client has begun.
        if record.side == Side::ToClient && reading.turns.is_empty() {
            continue;
        }
        reading.add(place, record);
    }
    reading
}

/// Which record ends the client's handshake in TLS 1.3.
fn finished(records: &[Record]) -> Option<usize> {
    let of_client = |record: &&Record| record.side == Side::ToServer;
    // Only the handshake is wrapped; where one record is, all of it are.
    let last_wrapped = records
        .iter()
        .rposition(|record| record.wrapped && of_client(&record));
    if last_wrapped.is_some() {
        return last_wrapped;
    }
    let start = records.iter().position(|record| of_client(&record))?;
    // A certificate comes before it, in the same flight. Where no record has its size, records are
    // padded, and it is the first.
    let flight = records[start..].iter().take_while(of_client);
    let mut sizes = flight.take(MAX_BEFORE_FINISHED).map(|record| record.len);
    let by_size = sizes.position(|len| FINISHED.contains(&len));
    Some(start + by_size.unwrap_or(0))
}

/// Which records of TLS 1.3 are session tickets: the server sends them after the client's handshake,
/// before it has looked at what follows. All have one length, or nearly none looks like a reply.
fn tickets(records: &[Record], terms: Terms) -> Vec<usize> {
    if !terms.tls13 {
        return Vec::new();
    }
    let is_control = |len: u32| is_alert(len) || is_key_update(len);
    let of_server =
        |(_, record): &(usize, &Record)| record.side == Side::ToClient && !is_control(record.len);
    let said: Vec<_> = records
        .iter()
        .enumerate()
        .filter(of_server)
        .take(MAX_TICKETS + 1)
        .collect();
    let Some(&(_, first)) = said.first() else {
        return Vec::new();
    };
    let alike = said
        .iter()
        .take_while(|(_, record)| record.len == first.len);
    let alike: Vec<_> = alike.map(|(place, _)| *place).take(MAX_TICKETS).collect();
    if alike.len() > 1 && first.len >= SHORTEST_TICKET && !is_full_packet(first.len, terms.overhead)
    {
        return alike;
    }
    if terms.strict {
        return before_prelogin_reply(records, &said);
    }
    leading_bursts(&said, terms)
}

/// Records too long for an answer to PRELOGIN that came before it. Where the client has gone on, one
/// of them was the answer.
fn before_prelogin_reply(records: &[Record], said: &[(usize, &Record)]) -> Vec<usize> {
    let mut of_client = (0..records.len()).filter(|place| records[*place].side == Side::ToServer);
    let login = of_client.nth(1);
    let before: Vec<_> = said
        .iter()
        .take_while(|(place, _)| login.is_none_or(|login| *place < login))
        .collect();
    let long = before
        .iter()
        .take_while(|(_, record)| record.len > PRELOGIN_REPLY);
    let most = before.len() - usize::from(login.is_some() && !before.is_empty());
    long.take(most).map(|(place, _)| *place).collect()
}

/// Records that came some time before the last ones of the server's first turn.
fn leading_bursts(said: &[(usize, &Record)], terms: Terms) -> Vec<usize> {
    let neighbours = said
        .windows(2)
        .take_while(|pair| pair[1].0 == pair[0].0 + 1);
    let bursts = neighbours.enumerate().filter(|(_, pair)| {
        let (before, after) = (pair[0].1, pair[1].1);
        let apart = after.from.saturating_sub(before.to) >= WITHIN_REPLY;
        apart && !is_full_packet(before.len, terms.overhead)
    });
    let last = bursts.last().map_or(0, |(place, _)| place + 1);
    said.iter().take(last).map(|(place, _)| *place).collect()
}

impl Reading {
    /// Whether a record is neither a message nor a part of one: an alert, a `KeyUpdate`, an attention.
    fn is_control(&mut self, record: &Record) -> bool {
        if self.terms.tls13 && is_alert(record.len) {
            if record.side == Side::ToServer {
                self.client_bye.get_or_insert(record.to);
            }
            return true;
        }
        if self.terms.tls13 && is_key_update(record.len) {
            return true;
        }
        let waits_for_server = self
            .turns
            .last()
            .is_some_and(|turn| turn.side == Side::ToServer);
        let takes_back = record.side == Side::ToServer
            && waits_for_server
            && self.terms.attention == Some(record.len);
        self.attention |= takes_back;
        takes_back
    }

    fn add(&mut self, place: usize, record: &Record) {
        match self.turns.last_mut() {
            Some(turn) if turn.side == record.side => {
                turn.to = turn.to.max(record.to);
                turn.bytes += u64::from(record.len);
                turn.count += 1;
            }
            _ => self.turns.push(Turn {
                side: record.side,
                from: record.from,
                to: record.to,
                bytes: u64::from(record.len),
                first: place,
                first_len: record.len,
                count: 1,
            }),
        }
    }

    /// What both sides said, in turn.
    pub(in crate::session) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// The client's PRELOGIN and its answer (TDS 8.0).
    pub(in crate::session) fn prelogin(&self) -> (Option<Turn>, Option<Turn>) {
        if !self.terms.strict {
            return (None, None);
        }
        (self.turns.first().copied(), self.turns.get(1).copied())
    }

    /// The client's login, the reply to it, and so on, the client first.
    pub(in crate::session) fn login(&self) -> &[Turn] {
        let from = if self.terms.strict { 2 } else { 0 };
        self.turns.get(from..).unwrap_or_default()
    }

    /// Whether TLS that came first holds something else than TDS: the answer to PRELOGIN is too long
    /// for one, or the login too short.
    pub(in crate::session) fn is_foreign(&self) -> bool {
        let prelogin = self.turns.get(1);
        let login = self.turns.get(2).filter(|_| self.turns.len() > 3);
        self.terms.strict
            && (prelogin.is_some_and(|reply| reply.bytes > LONGEST_PRELOGIN_REPLY)
                || login.is_some_and(|login| login.bytes < SHORTEST_LOGIN))
    }

    /// Whether TLS that is anybody's may hold something else: a request of HTTPS has any size, so
    /// those of all messages must be what they are in a login that SQL Server acknowledges.
    pub(super) fn is_doubtful(&self) -> bool {
        let bytes = |turn: usize| self.turns.get(turn).map(|turn| turn.bytes);
        let longer = |turn: usize, limit: u64| bytes(turn).is_some_and(|bytes| bytes > limit);
        let shorter = |turn: usize, limit: u64| bytes(turn).is_some_and(|bytes| bytes <= limit);
        self.terms.unnamed
            && (longer(0, WHOLE_PRELOGIN)
                || longer(1, WHOLE_PRELOGIN)
                || (self.turns.len() > 3 && shorter(2, bytes(0).unwrap_or_default()))
                || shorter(3, SHORT_REPLY))
    }
}
