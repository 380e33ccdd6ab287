//! Logins inside TLS: what the order, direction and size of sealed records tell.
//!
//! Turns alternate: the client's login (in TDS 8.0 its PRELOGIN before that), the server's reply.
//! A reply is followed by a request where the login succeeded, by an end where it did not. Sizes
//! break the tie when the client neither asks nor leaves.

use std::ops::RangeInclusive;

use super::timeline::Side;

/// TLS 1.3's Finished as a sealed record: 32 or 48 bytes of hash, 4 of header, 9 to 17 of sealing,
/// and the 16 of padding that Java adds to every record of a socket.
const FINISHED: RangeInclusive<u32> = 45..=85;
/// TLS 1.3's alert as a sealed record, without and with Java's padding. No TDS message is as short
/// as the first, and none of either side has the length of the second.
const ALERTS: [u32; 2] = [19, 35];
/// Client records looked at for Finished: a client certificate comes before it.
const MAX_BEFORE_FINISHED: u32 = 4;
/// A reply that refuses holds one ERROR and one DONE: this many bytes at most, with the sealing.
const SHORT_REPLY: u64 = 300;
/// A federated token is never shorter than this; a first request seldom longer.
const LONG_TOKEN: u64 = 700;
/// How long a quiet connection is waited for before silence counts as contentment, nanoseconds.
pub(super) const QUIET: u64 = 1_000_000_000;

/// Records of one side without one of the other between them.
#[derive(Clone, Copy, Debug)]
struct Turn {
    side: Side,
    last: u64,
    bytes: u64,
}

/// The sealed part of a login.
#[derive(Debug, Default)]
pub(super) struct Dark {
    /// TLS 1.3: the client's handshake ends in a sealed record.
    finished_sealed: bool,
    /// Client records until Finished, where that is sealed.
    before_finished: u32,
    finished_at: Option<u64>,
    /// The client's PRELOGIN is sealed too (TDS 8.0).
    strict: bool,
    /// A federated token may follow the first reply.
    federated: bool,
    turns: Vec<Turn>,
}

/// What a sealed record meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Part of the TLS handshake.
    Handshake,
    /// The start of the client's PRELOGIN (TDS 8.0): TLS is over.
    Prelogin,
    /// The start of the login: PRELOGIN's reply, if any, ended at `prelogin_end`.
    Login {
        /// When the last record before it had passed.
        prelogin_end: Option<u64>,
    },
    /// The start of a further message of the client after the first reply: a federated token.
    Token {
        /// When the reply had passed.
        reply_end: u64,
    },
    /// The client goes on to its first request: the login succeeded with the reply at `reply_end`.
    Request {
        /// When the reply had passed.
        reply_end: u64,
    },
    /// The client ends TLS.
    Bye,
    /// More of the same turn, or the server's answer to it.
    Continuation,
}

/// What is believed of a login, and how firmly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Belief {
    pub(super) accepted: bool,
    pub(super) confidence: f64,
    /// When the deciding reply had passed.
    pub(super) at: u64,
}

impl Dark {
    /// What the handshake before it tells: whether TLS is 1.3, whether PRELOGIN is sealed too,
    /// whether both sides agreed on federated authentication.
    pub(super) fn expect(&mut self, tls13: bool, strict: bool, federated: bool) {
        self.finished_sealed = tls13;
        self.strict = strict;
        self.federated = federated;
    }

    /// A sealed record of the client.
    pub(super) fn client(&mut self, from: u64, to: u64, len: u32) -> Meaning {
        if self.finished_sealed && self.finished_at.is_none() {
            self.before_finished += 1;
            if FINISHED.contains(&len) || self.before_finished >= MAX_BEFORE_FINISHED {
                self.finished_at = Some(to);
            }
            return Meaning::Handshake;
        }
        if self.finished_sealed && is_alert(len) {
            return Meaning::Bye;
        }
        let starts = self.turn(Side::ToServer, to, len);
        if !starts {
            return Meaning::Continuation;
        }
        let before = self
            .turns
            .len()
            .checked_sub(2)
            .map(|index| self.turns[index]);
        match (self.client_turns(), self.strict) {
            (1, true) => Meaning::Prelogin,
            (1, false) => Meaning::Login { prelogin_end: None },
            (2, true) => Meaning::Login {
                prelogin_end: before.map(|turn| turn.last),
            },
            (turns, strict) => {
                let reply_end = before.map_or(from, |turn| turn.last);
                let first_reply = turns == 2 + usize::from(strict);
                if self.federated && first_reply && u64::from(len) >= LONG_TOKEN {
                    Meaning::Token { reply_end }
                } else {
                    Meaning::Request { reply_end }
                }
            }
        }
    }

    /// A sealed record of the client inside a TDS packet: only the handshake is wrapped, so TLS 1.3's
    /// Finished has passed, or passes in the next one.
    pub(super) fn wrapped(&mut self, to: u64) {
        self.finished_at = Some(to);
    }

    /// A sealed record of the server.
    pub(super) fn server(&mut self, to: u64, len: u32) -> Meaning {
        let handshaking = self.finished_sealed && self.finished_at.is_none();
        // Session tickets of TLS 1.3 may come before the client has asked anything.
        if handshaking || self.client_turns() == 0 {
            return Meaning::Handshake;
        }
        if self.finished_sealed && is_alert(len) {
            return Meaning::Continuation;
        }
        self.turn(Side::ToClient, to, len);
        Meaning::Continuation
    }

    fn turn(&mut self, side: Side, to: u64, len: u32) -> bool {
        match self.turns.last_mut() {
            Some(turn) if turn.side == side => {
                turn.last = turn.last.max(to);
                turn.bytes += u64::from(len);
                false
            }
            _ => {
                self.turns.push(Turn {
                    side,
                    last: to,
                    bytes: u64::from(len),
                });
                true
            }
        }
    }

    fn client_turns(&self) -> usize {
        self.turns
            .iter()
            .filter(|turn| turn.side == Side::ToServer)
            .count()
    }

    /// Whether the client's Finished, where it is sealed, has passed.
    pub(super) fn handshake_is_over(&self) -> bool {
        self.finished_at.is_some()
    }

    /// The reply to the login, once there is one: what it says by itself, and whether `ended` it
    /// was followed by the connection's end.
    pub(super) fn belief(&self, ended: bool) -> Option<Belief> {
        let reply = self
            .turns
            .last()
            .filter(|turn| turn.side == Side::ToClient)?;
        if self.client_turns() < 1 + usize::from(self.strict) {
            return None;
        }
        let short = reply.bytes <= SHORT_REPLY;
        let (accepted, confidence) = match (ended, short) {
            (true, true) => (false, 0.8),
            (true, false) => (true, 0.7),
            (false, true) => (true, 0.6),
            (false, false) => (true, 0.9),
        };
        Some(Belief {
            accepted,
            confidence,
            at: reply.last,
        })
    }
}

/// Whether a sealed record of TLS 1.3 is an alert, by its length.
pub(super) fn is_alert(len: u32) -> bool {
    ALERTS.contains(&len)
}

/// The confidence of a success that a request confirmed.
pub(super) const CONFIRMED: f64 = 0.98;

#[cfg(test)]
mod tests {
    use super::*;

    fn dark(tls13: bool, strict: bool) -> Dark {
        let mut dark = Dark::default();
        dark.expect(tls13, strict, false);
        dark
    }

    #[test]
    fn a_request_after_the_reply_proves_the_login() {
        let mut dark = dark(false, false);
        assert_eq!(
            dark.client(10, 10, 400),
            Meaning::Login { prelogin_end: None }
        );
        dark.server(35, 380);
        assert_eq!(dark.client(40, 40, 90), Meaning::Request { reply_end: 35 });
    }

    #[test]
    fn tickets_of_tls13_are_no_reply() {
        let mut dark = dark(true, true);
        assert_eq!(dark.server(5, 900), Meaning::Handshake);
        assert_eq!(dark.client(10, 10, 69), Meaning::Handshake);
        assert_eq!(dark.server(11, 250), Meaning::Handshake);
        assert_eq!(dark.client(12, 12, 105), Meaning::Prelogin);
        dark.server(13, 250);
        dark.server(14, 60);
        assert_eq!(
            dark.client(15, 15, 363),
            Meaning::Login {
                prelogin_end: Some(14)
            }
        );
    }

    #[test]
    fn a_finished_that_java_padded_is_no_login() {
        let mut dark = dark(true, false);
        assert_eq!(dark.client(10, 10, 85), Meaning::Handshake);
        assert_eq!(
            dark.client(20, 20, 209),
            Meaning::Login { prelogin_end: None }
        );
        dark.server(30, 370);
        assert_eq!(dark.client(40, 40, 345), Meaning::Request { reply_end: 30 });
    }

    #[test]
    fn after_a_wrapped_finished_the_first_bare_record_is_the_login() {
        let mut dark = dark(true, false);
        dark.wrapped(10);
        assert_eq!(
            dark.client(20, 20, 69),
            Meaning::Login { prelogin_end: None }
        );
    }

    #[test]
    fn a_sealed_alert_is_neither_a_request_nor_a_reply() {
        let mut dark = dark(true, false);
        dark.client(10, 10, 69);
        dark.client(20, 20, 228);
        assert_eq!(dark.server(25, 19), Meaning::Continuation);
        assert_eq!(dark.belief(true), None);
        dark.server(30, 121);
        assert_eq!(dark.client(40, 40, 19), Meaning::Bye);
        assert!(!dark.belief(true).unwrap().accepted);
    }

    #[test]
    fn a_short_reply_and_the_end_is_a_refusal_and_a_long_one_is_not() {
        for (bytes, accepted) in [(180, false), (900, true)] {
            let mut dark = dark(false, false);
            dark.client(10, 10, 400);
            dark.server(30, bytes);
            assert_eq!(dark.belief(true).unwrap().accepted, accepted);
            assert!(dark.belief(false).unwrap().accepted);
        }
    }

    #[test]
    fn a_reply_to_a_sealed_prelogin_is_no_reply_to_a_login() {
        let mut dark = dark(false, true);
        dark.client(10, 10, 90);
        dark.server(20, 60);
        assert_eq!(dark.belief(true), None);
    }
}
