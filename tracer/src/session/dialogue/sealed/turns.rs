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
/// No server answers a login faster, nanoseconds: the handshake may have taken longer than a round
/// trip.
const SHORTEST_LOGIN_TIME: u64 = 100_000;

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
/// before it has looked at what follows.
fn tickets(records: &[Record], terms: Terms) -> Vec<usize> {
    if !terms.tls13 {
        return Vec::new();
    }
    if terms.strict {
        before_prelogin_reply(records, terms)
    } else {
        before_login_reply(records, terms)
    }
}

/// Whether a record is an alert or a `KeyUpdate` of TLS 1.3.
fn is_of_tls(record: &Record) -> bool {
    is_alert(record.len) || is_key_update(record.len)
}

/// Whether the records at these places are a ticket each: more than one, all of one length. Nearly no
/// reply looks so.
fn are_alike(records: &[Record], places: &[usize], terms: Terms) -> bool {
    let Some(&first) = places.first() else {
        return false;
    };
    let len = records[first].len;
    let several = (2..=MAX_TICKETS).contains(&places.len());
    let sized = len >= SHORTEST_TICKET && !is_full_packet(len, terms.overhead);
    several && sized && places.iter().all(|place| records[*place].len == len)
}

/// Tickets that came before the answer to a sealed PRELOGIN (TDS 8.0): records that are alike, or too
/// long for it. Where the client has gone on, one of them was the answer.
fn before_prelogin_reply(records: &[Record], terms: Terms) -> Vec<usize> {
    let places = |side: Side| (0..records.len()).filter(move |place| records[*place].side == side);
    let spoken = places(Side::ToClient).filter(|place| !is_of_tls(&records[*place]));
    let spoken: Vec<_> = spoken.take(MAX_TICKETS + 1).collect();
    let same = |place: &&usize| records[**place].len == records[spoken[0]].len;
    let alike = &spoken[..spoken.iter().take_while(same).count()];
    if are_alike(records, alike, terms) {
        return alike.to_vec();
    }
    let login = places(Side::ToServer).nth(1);
    let is_before = |place: &&usize| login.is_none_or(|login| **place < login);
    let before = &spoken[..spoken.iter().take_while(is_before).count()];
    let is_long = |place: &&usize| records[**place].len > PRELOGIN_REPLY;
    let long = before.iter().take_while(is_long).count();
    let most = before.len() - usize::from(login.is_some() && !before.is_empty());
    before[..long.min(most)].to_vec()
}

/// Tickets that came before the reply to a sealed login. The reply is the last record of its turn,
/// and the full packets just before it; no record is one that came before the login was whole.
fn before_login_reply(records: &[Record], terms: Terms) -> Vec<usize> {
    // The client's bytes so far, and when the last of them passed.
    let mut login = (0, None);
    let mut spoken = Vec::new();
    let mut whole_after = 0;
    for (place, record) in records.iter().enumerate() {
        if record.wrapped || is_of_tls(record) {
            continue;
        }
        if record.side == Side::ToClient {
            spoken.push(place);
            continue;
        }
        let (bytes, last) = login;
        let spoke = spoken.len() > whole_after && !are_alike(records, &spoken, terms);
        let answered = spoke && bytes >= SHORTEST_LOGIN;
        // An answer takes a round trip.
        let round_trip = terms.round_trip.min(SHORTEST_LOGIN_TIME);
        let takes = |last: u64| record.from.saturating_sub(last);
        if answered && last.is_some_and(|last| takes(last) >= round_trip) {
            break;
        }
        whole_after = spoken.len();
        login = (bytes + u64::from(record.len), Some(record.to));
    }
    let turn = &spoken[whole_after..];
    let is_full = |place: &&usize| is_full_packet(records[**place].len, terms.overhead);
    let reply = match turn.split_last() {
        Some(_) if are_alike(records, &spoken, terms) => 0,
        Some((_, before)) => 1 + before.iter().rev().take_while(is_full).count(),
        None => 0,
    };
    spoken.truncate(spoken.len() - reply);
    spoken
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
