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
/// No sealed answer to a PRELOGIN is longer; TLS 1.3's session tickets are.
const PRELOGIN_REPLY: u32 = 150;
/// No answer to a PRELOGIN is longer, a few short session tickets included.
const LONGEST_PRELOGIN: u64 = 400;
/// LOGIN7 without any name, sealed.
const SHORTEST_LOGIN: u64 = 119;
/// Client records looked at for Finished: a client certificate comes before it.
const MAX_BEFORE_FINISHED: u32 = 4;
/// A PRELOGIN with every option there is, and its answer, sealed.
const WHOLE_PRELOGIN: u64 = 220;
/// SQL Server's acknowledgement of a login is longer than this, with the sealing, however short its
/// name is; a plain refusal, an SSPI challenge and FEDAUTHINFO are not.
const SHORT_REPLY: u64 = 350;
/// A reply up to this long is a DONE: the answer to a request, to no login.
const BARE_DONE: u64 = 90;
/// No SSPI exchange has more of the client's messages after its login: Kerberos that falls back to
/// NTLM has two, and one more may follow where the two sides have no mechanism in common at first.
const MAX_ROUNDS: usize = 3;
/// What may turn out to have been requests: each of those messages, and its answer.
pub(super) const EARLIER: usize = 2 * MAX_ROUNDS;
/// No SSPI token that answers a challenge is shorter than this, but those that negotiate.
const TOKEN: u32 = 200;
/// A login with a Kerberos ticket is longer than this, and one without hardly ever. Only such a
/// client negotiates further in shorter tokens.
const WITH_TICKET: u64 = 900;
/// A federated token is never shorter than this: header, claims and a signature of 342 characters,
/// two bytes each. tedious' first request has 780.
const LONG_TOKEN: u32 = 1600;
/// How long a quiet connection is waited for before silence counts as contentment, nanoseconds.
pub(super) const QUIET: u64 = 1_000_000_000;
/// The same after a short reply: a client that fetches a token or asks its domain is quiet too.
const QUIET_AFTER_SHORT: u64 = 15_000_000_000;

/// Records of one side without one of the other between them.
#[derive(Clone, Copy, Debug)]
struct Turn {
    side: Side,
    first: u64,
    last: u64,
    bytes: u64,
}

/// One sealed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) side: Side,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) len: u32,
}

/// A client's message that may go on with an SSPI exchange, or be a request.
#[derive(Clone, Copy, Debug)]
struct Exchange {
    message: Sealed,
    /// When the reply before it had passed.
    reply_end: u64,
}

/// How a connection ends, as far as it tells of a sealed login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// The server closed without having been asked to: so it does after a refusal (MS-TDS §3.3.5.5).
    Server,
    /// The client closed, or began to.
    Client,
    /// The server reset the connection.
    Reset,
}

/// The sealed part of a login.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Dark {
    /// TLS 1.3: the client's handshake ends in a sealed record.
    finished_sealed: bool,
    /// Client records until Finished, where that is sealed.
    before_finished: u32,
    finished_at: Option<u64>,
    /// The client's PRELOGIN is sealed too (TDS 8.0).
    strict: bool,
    /// TLS came first, and named no protocol: it may be anybody's.
    unnamed: bool,
    /// A federated token may follow the first reply.
    federated: bool,
    turns: Vec<Turn>,
    /// Those that only short replies came to, at most [`MAX_ROUNDS`].
    exchanges: Vec<Exchange>,
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
    /// A message after a reply too short to acknowledge a login; what comes of it tells whether it
    /// was an SSPI token.
    Exchange {
        /// When the reply had passed.
        reply_end: u64,
    },
    /// The client goes on to its first request: the login succeeded with the reply at `reply_end`.
    Request {
        /// When the reply had passed.
        reply_end: u64,
        /// What may have been an exchange, and was requests, each with its answer.
        earlier: [Option<Sealed>; EARLIER],
        /// How many messages of an exchange there were before that reply.
        rounds: u32,
    },
    /// A session ticket after the client's PRELOGIN, which is still to be answered.
    Ticket {
        /// When the PRELOGIN had passed.
        owed_since: u64,
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
    /// What may have been an exchange, and was requests, each with its answer.
    pub(super) requests: [Option<Sealed>; EARLIER],
}

impl Dark {
    /// What the handshake before it tells: whether TLS is 1.3, whether PRELOGIN is sealed too,
    /// whether both sides agreed on federated authentication.
    pub(super) fn expect(&mut self, tls13: bool, strict: bool, federated: bool) {
        self.finished_sealed = tls13;
        self.strict = strict;
        self.federated = federated;
    }

    /// TLS came first, and its client named no protocol.
    pub(super) fn expect_anybody(&mut self) {
        self.unnamed = true;
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
        if !starts || self.is_foreign() || self.is_doubtful() {
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
                let first_reply = turns == 2 + usize::from(strict);
                self.further(
                    Sealed {
                        side: Side::ToServer,
                        from,
                        to,
                        len,
                    },
                    before,
                    first_reply,
                )
            }
        }
    }

    /// A message of the client after a reply to its login.
    fn further(&mut self, message: Sealed, reply: Option<Turn>, first_reply: bool) -> Meaning {
        let reply_end = reply.map_or(message.from, |reply| reply.last);
        let short = reply.is_some_and(|reply| reply.bytes <= SHORT_REPLY);
        if first_reply && short && self.federated && message.len >= LONG_TOKEN {
            return Meaning::Token { reply_end };
        }
        let token = message.len >= TOKEN || self.login_bytes() >= WITH_TICKET;
        if first_reply && short && token {
            self.exchanges.push(Exchange { message, reply_end });
            return Meaning::Exchange { reply_end };
        }
        let Some((exchange, reply)) = self.exchanges.last().copied().zip(reply) else {
            return Meaning::Request {
                reply_end,
                earlier: [None; EARLIER],
                rounds: 0,
            };
        };
        if exchange.was_one(&reply, self.strict) {
            return Meaning::Request {
                reply_end,
                earlier: [None; EARLIER],
                rounds: self.exchanges.len() as u32,
            };
        }
        // Neither an acknowledgement nor the end of a request: one more challenge, it may be.
        if reply.bytes > BARE_DONE && token && self.exchanges.len() < MAX_ROUNDS {
            self.exchanges.push(Exchange { message, reply_end });
            return Meaning::Continuation;
        }
        Meaning::Request {
            reply_end: self.exchanges[0].reply_end,
            earlier: self.earlier(),
            rounds: 0,
        }
    }

    /// What was taken for an exchange, as the requests that it was.
    fn earlier(&self) -> [Option<Sealed>; EARLIER] {
        let mut earlier = [None; EARLIER];
        let turns = self.turns.iter().rev();
        let answers = turns.filter(|turn| turn.side == Side::ToClient);
        let pairs = self.exchanges.iter().rev().zip(answers);
        for (index, (exchange, answer)) in pairs.enumerate() {
            let at = 2 * (self.exchanges.len() - 1 - index);
            earlier[at] = Some(exchange.message);
            earlier[at + 1] = Some(answer.sealed());
        }
        earlier
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
        if self.finished_sealed && self.strict && self.turns.len() == 1 && len > PRELOGIN_REPLY {
            let owed_since = self.turns[0].last;
            return Meaning::Ticket { owed_since };
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
                    first: to,
                    last: to,
                    bytes: u64::from(len),
                });
                true
            }
        }
    }

    /// The client's login, in TDS 8.0 behind its PRELOGIN.
    fn login_bytes(&self) -> u64 {
        let login = self.turns.get(2 * usize::from(self.strict));
        login.map_or(0, |login| login.bytes)
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

    /// Whether TLS that came first holds something else than TDS: the answer to PRELOGIN is too long
    /// for one, or the login too short.
    pub(super) fn is_foreign(&self) -> bool {
        let prelogin = self.turns.get(1);
        let login = self.turns.get(2).filter(|_| self.turns.len() > 3);
        self.strict
            && (prelogin.is_some_and(|reply| reply.bytes > LONGEST_PRELOGIN)
                || login.is_some_and(|login| login.bytes < SHORTEST_LOGIN))
    }

    /// Whether TLS that is anybody's may hold something else: a request of HTTPS has any size, so
    /// those of all messages must be what they are in a login that SQL Server acknowledges.
    fn is_doubtful(&self) -> bool {
        let bytes = |turn: usize| self.turns.get(turn).map(|turn| turn.bytes);
        let longer = |turn: usize, limit: u64| bytes(turn).is_some_and(|bytes| bytes > limit);
        let shorter = |turn: usize, limit: u64| bytes(turn).is_some_and(|bytes| bytes <= limit);
        self.unnamed
            && (longer(0, WHOLE_PRELOGIN)
                || longer(1, WHOLE_PRELOGIN)
                || (self.turns.len() > 3 && shorter(2, bytes(0).unwrap_or_default()))
                || shorter(3, SHORT_REPLY))
    }

    /// The reply to the login, once there is one and nothing after it.
    fn reply(&self) -> Option<Turn> {
        if self.is_foreign() || self.is_doubtful() {
            return None;
        }
        let reply = self
            .turns
            .last()
            .filter(|turn| turn.side == Side::ToClient)?;
        (self.client_turns() > usize::from(self.strict)).then_some(*reply)
    }

    /// What is believed where what was taken for an exchange turns out to be requests.
    fn was_request(&self) -> Option<Belief> {
        let answer = self.turns.last()?;
        let exchange = self.exchanges.first()?;
        let bare = answer.side == Side::ToClient && answer.bytes <= BARE_DONE;
        bare.then(|| Belief {
            requests: self.earlier(),
            ..Belief::accepted(0.9, exchange.reply_end)
        })
    }

    /// What silence after the reply says, once it has lasted until `now`.
    pub(super) fn contentment(&self, now: u64) -> Option<Belief> {
        let reply = self.reply()?;
        let quiet = now.saturating_sub(reply.last);
        if let Some(belief) = self.was_request().filter(|_| quiet >= QUIET) {
            return Some(belief);
        }
        if reply.bytes > SHORT_REPLY {
            (quiet >= QUIET).then_some(Belief::accepted(0.9, reply.last))
        } else {
            (quiet >= QUIET_AFTER_SHORT).then_some(Belief::accepted(0.6, reply.last))
        }
    }

    /// What the connection's end at `now`, after the reply, says.
    pub(super) fn farewell(&self, leave: Leave, now: u64) -> Option<Belief> {
        let reply = self.reply()?;
        if let Some(belief) = self.was_request() {
            return Some(belief);
        }
        // Neither side stays after a refusal.
        if now.saturating_sub(reply.last) >= QUIET {
            return Some(Belief::accepted(0.6, reply.last));
        }
        let short = reply.bytes <= SHORT_REPLY;
        let (accepted, confidence) = match (leave, short) {
            (Leave::Server, true) => (false, 0.9),
            (Leave::Server, false) => (false, 0.7),
            (Leave::Client | Leave::Reset, true) => (false, 0.8),
            (Leave::Client | Leave::Reset, false) => (true, 0.6),
        };
        Some(Belief {
            accepted,
            ..Belief::accepted(confidence, reply.last)
        })
    }

    /// Whether the client's end alone leaves open what the reply said, so that the server's is worth
    /// waiting for.
    pub(super) fn hinges_on_server(&self, now: u64) -> bool {
        self.reply().is_some_and(|reply| {
            let at_once = now.saturating_sub(reply.last) < QUIET;
            at_once && self.was_request().is_none()
        })
    }
}

impl Belief {
    fn accepted(confidence: f64, at: u64) -> Self {
        Self {
            accepted: true,
            confidence,
            at,
            requests: [None; EARLIER],
        }
    }
}

impl Turn {
    fn sealed(&self) -> Sealed {
        Sealed {
            side: self.side,
            from: self.first,
            to: self.last,
            len: u32::try_from(self.bytes).unwrap_or(u32::MAX),
        }
    }
}

impl Exchange {
    /// Whether it was the last of an exchange, by the reply to it, after which the client went on.
    /// Only where PRELOGIN is sealed too can a federated token come unannounced.
    fn was_one(&self, reply: &Turn, strict: bool) -> bool {
        let token = strict && self.message.len >= LONG_TOKEN;
        reply.bytes > SHORT_REPLY || (reply.bytes > BARE_DONE && token)
    }
}

/// Whether a sealed record of TLS 1.3 is an alert, by its length.
pub(super) fn is_alert(len: u32) -> bool {
    ALERTS.contains(&len)
}

/// The confidence of a success that a request confirmed.
pub(super) const CONFIRMED: f64 = 0.98;
/// No more of TLS that named no protocol.
pub(super) const UNNAMED: f64 = 0.6;

/// The confidence of a redirect that the client's next connection suggests.
pub(super) const REDIRECTED: f64 = 0.7;

#[cfg(test)]
mod tests;
