//! What is believed of a sealed login, and how firmly.
//!
//! A reply is followed by a request where the login succeeded, by an end where it did not. Sizes break
//! the tie where the client neither asks nor leaves, and are believed to 0.7 at most where an NTLM
//! challenge has the size of an acknowledgement: such a reply waits for what follows it.

use super::{
    sizes::{
        BARE_DONE, FEDERATED_TOKEN, LIKELY_TICKET, LONGEST_CHALLENGE, LONGEST_RESPONSE, MAX_ROUNDS,
        SHORT_REPLY, SHORTEST_CHALLENGE, SHORTEST_TOKEN, WITH_TICKET,
    },
    turns::{Reading, Turn},
};
use crate::session::ledger::Step;

/// How long a quiet connection is waited for before silence says anything, nanoseconds.
pub(in crate::session) const QUIET: u64 = 1_000_000_000;

/// The confidence of a success that a request confirmed.
pub(in crate::session) const CONFIRMED: f64 = 0.98;
/// No more of TLS that named no protocol.
pub(in crate::session) const UNNAMED: f64 = 0.6;
/// The confidence of a redirect that the client's next connection suggests.
pub(in crate::session) const REDIRECTED: f64 = 0.7;

/// How a connection ends, as far as it tells of a sealed login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Leave {
    /// The server closed without having been asked to: so it does after a refusal (MS-TDS §3.3.5.5).
    Server,
    /// The client closed, or began to.
    Client,
    /// The server reset the connection.
    Reset,
    /// Nobody watches any more.
    Unwatched,
}

/// What is believed of a login.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::session) struct Belief {
    pub(in crate::session) accepted: bool,
    pub(in crate::session) confidence: f64,
    /// When the deciding reply had passed.
    pub(in crate::session) at: u64,
    /// Client's messages of an authentication exchange between the login and that reply.
    pub(in crate::session) rounds: usize,
    /// The first record that came after the login; none may have.
    pub(in crate::session) rest: usize,
}

/// How far the login has come, by the messages that were answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// No reply yet.
    Unanswered,
    /// The last word is a reply, the number of exchanges before it.
    Replied(usize),
    /// The client has sent what may be a token, and waits.
    Exchanging(usize),
    /// The client has gone on to requests after the reply with this many exchanges before it.
    WentOn(usize),
}

impl Reading {
    /// What the messages alone show: that the client went on to a request.
    pub(in crate::session) fn went_on(&self) -> Option<Belief> {
        if self.is_foreign() || self.is_doubtful() {
            return None;
        }
        match self.course(false) {
            Course::WentOn(rounds) => Some(self.accepted(CONFIRMED, rounds)),
            _ => None,
        }
    }

    /// What silence after the last reply says, once it has lasted until `now`.
    pub(in crate::session) fn contentment(&self, now: u64) -> Option<Belief> {
        let (reply, rounds) = self.last_reply()?;
        if now.saturating_sub(reply.to) < QUIET {
            return None;
        }
        if self.was_request(rounds) {
            return Some(self.accepted(0.9, 0));
        }
        if reply.bytes > LONGEST_CHALLENGE && !self.may_be_ticket(reply, rounds) {
            return Some(self.accepted(0.9, rounds));
        }
        (rounds > 0 && reply.bytes > SHORT_REPLY).then(|| self.accepted(0.7, rounds))
    }

    /// When silence will say something, if nothing else comes.
    pub(in crate::session) fn content_at(&self) -> Option<u64> {
        let (reply, _) = self.last_reply()?;
        let at = reply.to.saturating_add(QUIET);
        self.contentment(at).map(|_| at)
    }

    /// What the connection's end at `now` says.
    pub(in crate::session) fn farewell(&self, leave: Leave, now: u64) -> Option<Belief> {
        if self.is_foreign() || self.is_doubtful() {
            return None;
        }
        if let Course::WentOn(rounds) = self.course(true) {
            return Some(self.accepted(CONFIRMED, rounds));
        }
        let (reply, rounds) = self.last_reply()?;
        if self.was_request(rounds) {
            return Some(self.accepted(0.9, 0));
        }
        let quiet = now.saturating_sub(reply.to) >= QUIET;
        if quiet || leave == Leave::Unwatched {
            // Neither side stays after a refusal.
            return self
                .may_be_last_word(reply, rounds)
                .then(|| self.accepted(0.6, rounds));
        }
        let short = reply.bytes <= SHORT_REPLY;
        let awaits_token = rounds == 0 && self.awaits_token();
        match (leave, short) {
            (Leave::Server, true) => Some(self.refused(0.9, rounds)),
            (Leave::Client | Leave::Reset, false) => Some(self.accepted(0.6, rounds)),
            (Leave::Client | Leave::Reset, true) if awaits_token => None,
            (Leave::Unwatched, _) => None,
            _ => Some(self.refused(0.7, rounds)),
        }
    }

    /// Whether the client's end alone leaves open what the reply said, so that the server's is worth
    /// waiting for.
    pub(in crate::session) fn depends_on_server(&self, now: u64) -> bool {
        self.last_reply().is_some_and(|(reply, rounds)| {
            now.saturating_sub(reply.to) < QUIET && !self.was_request(rounds)
        })
    }

    /// Whether the last word is a reply after which the client may have been sent elsewhere.
    pub(in crate::session) fn redirected(&self, at: u64) -> Option<Belief> {
        self.farewell(Leave::Client, at)
    }

    /// The authentication exchange that is under way or over: when the login's first reply had passed.
    pub(in crate::session) fn exchange(&self) -> Option<u64> {
        let first_reply = self.login().get(1)?;
        match self.course(false) {
            Course::Exchanging(_) => Some(first_reply.to),
            Course::Replied(rounds) | Course::WentOn(rounds) if rounds > 0 => Some(first_reply.to),
            _ => None,
        }
    }

    /// When a first reply had passed that looks like a challenge, or asks for a token, while the client
    /// has sent none: so it is where the login ends without an answer, or is open at `now`.
    pub(in crate::session) fn challenged(&self, now: u64) -> Option<u64> {
        let (reply, rounds) = self.last_reply()?;
        let short = (SHORTEST_CHALLENGE..=SHORT_REPLY).contains(&reply.bytes);
        let asks = self.awaits_token() && reply.bytes <= SHORT_REPLY;
        let challenges = short && !self.ends_in_ticket(now);
        (rounds == 0 && (asks || challenges)).then_some(reply.to)
    }

    /// When the client's token followed a reply, which the two sides had agreed upon: the reply's end
    /// and the token's start.
    pub(in crate::session) fn federated_token(&self) -> Option<(u64, u64)> {
        let [_, reply, token, ..] = self.login() else {
            return None;
        };
        self.is_federated_token(token, 1)
            .then_some((reply.to, token.from))
    }

    fn course(&self, is_over: bool) -> Course {
        let turns = self.login();
        let mut rounds = 0;
        loop {
            let (reply, message) = (turns.get(2 * rounds + 1), turns.get(2 * rounds + 2));
            let Some(reply) = reply else {
                return if rounds == 0 {
                    Course::Unanswered
                } else {
                    Course::Exchanging(rounds)
                };
            };
            let Some(message) = message else {
                return Course::Replied(rounds);
            };
            if rounds > 0 && self.ends_exchange(reply, rounds) {
                return Course::WentOn(rounds);
            }
            // How long a message is shows when it is answered; that it is none of a login may show
            // before.
            let is_whole = is_over || turns.len() > 2 * rounds + 3;
            let surely = reply.bytes > LONGEST_CHALLENGE || self.is_request(message);
            if !surely && !is_whole {
                return Course::Exchanging(rounds + 1);
            }
            let bare = rounds > 0 && reply.bytes <= BARE_DONE;
            let may_be_token = self.may_be_token(reply, message, rounds);
            if surely || bare || !may_be_token || rounds == MAX_ROUNDS {
                // What was taken for an exchange was requests.
                return Course::WentOn(0);
            }
            rounds += 1;
        }
    }

    /// Whether the reply to the last message of an exchange acknowledges the login, given that the
    /// client went on after it.
    fn ends_exchange(&self, reply: &Turn, rounds: usize) -> bool {
        let token = self.login().get(2 * rounds);
        let federated = token.is_some_and(|token| self.is_federated_token(token, rounds));
        reply.bytes > SHORT_REPLY || (reply.bytes > BARE_DONE && federated)
    }

    fn is_federated_token(&self, token: &Turn, rounds: usize) -> bool {
        let may_come = self.terms.federated || self.terms.strict;
        may_come && rounds == 1 && token.bytes >= FEDERATED_TOKEN
    }

    /// Whether a message is one of MARS, which there is only after the login.
    fn is_request(&self, message: &Turn) -> bool {
        self.terms.smp_control == Some(message.first_len)
    }

    /// Whether a message after this reply may go on with the login.
    fn may_be_token(&self, reply: &Turn, message: &Turn, rounds: usize) -> bool {
        let login = self.login()[0].bytes;
        // Behind a gap two messages may look like one.
        let bytes = if self.terms.whole {
            message.bytes
        } else {
            message.first_len.into()
        };
        if self.is_federated_token(message, rounds + 1) {
            return true;
        }
        if reply.bytes <= SHORT_REPLY {
            return bytes >= SHORTEST_TOKEN || login >= WITH_TICKET;
        }
        let holds_token = self.terms.federated && login >= FEDERATED_TOKEN;
        let is_response = (SHORTEST_TOKEN..=LONGEST_RESPONSE).contains(&bytes);
        reply.bytes <= LONGEST_CHALLENGE && is_response && !holds_token
    }

    /// The reply that nothing follows, and how many exchanges came before it.
    fn last_reply(&self) -> Option<(&Turn, usize)> {
        if self.is_foreign() || self.is_doubtful() {
            return None;
        }
        let Course::Replied(rounds) = self.course(false) else {
            return None;
        };
        let reply = self.login().get(2 * rounds + 1)?;
        Some((reply, rounds))
    }

    /// Whether the first word of the server may be a session ticket: in TLS 1.3 inside TDS 7 a single
    /// one looks like a reply, until more follows.
    fn may_be_ticket(&self, reply: &Turn, rounds: usize) -> bool {
        self.terms.tls13 && !self.terms.strict && rounds == 0 && reply.count == 1
    }

    /// Whether what was taken for an exchange shows as requests by the last answer.
    fn was_request(&self, rounds: usize) -> bool {
        let answer = self.login().last();
        rounds > 0 && answer.is_some_and(|answer| answer.bytes <= BARE_DONE)
    }

    /// Whether a reply after which both sides fell silent may be the login's last word.
    fn may_be_last_word(&self, reply: &Turn, rounds: usize) -> bool {
        if rounds == 0 && self.awaits_token() {
            return reply.bytes > SHORT_REPLY;
        }
        let is_no_challenge = rounds == 0 && reply.bytes < SHORTEST_CHALLENGE;
        reply.bytes > SHORT_REPLY || (is_no_challenge && !self.may_be_ticket(reply, rounds))
    }

    /// Whether the login brought no federated token, though both sides agreed on one.
    fn awaits_token(&self) -> bool {
        let login = self.login().first();
        self.terms.federated && login.is_some_and(|login| login.bytes < FEDERATED_TOKEN)
    }

    fn accepted(&self, confidence: f64, rounds: usize) -> Belief {
        self.belief(true, confidence, rounds)
    }

    fn refused(&self, confidence: f64, rounds: usize) -> Belief {
        self.belief(false, confidence, rounds)
    }

    fn belief(&self, accepted: bool, confidence: f64, rounds: usize) -> Belief {
        let turns = self.login();
        let reply = turns.get(2 * rounds + 1).or(turns.last());
        let next = turns.get(2 * rounds + 2);
        Belief {
            accepted,
            confidence,
            at: reply.map_or(0, |reply| reply.to),
            rounds,
            rest: next.map_or(usize::MAX, |turn| turn.first),
        }
    }

    /// Who spoke when, and who has to go on, as it looks at `now`.
    pub(in crate::session) fn moves(&self, now: u64) -> impl Iterator<Item = Step> {
        let spoken = self.turns.len() - usize::from(self.ends_in_ticket(now));
        self.turns[..spoken].iter().flat_map(|turn| {
            let step = |at, owed_by| Step {
                at,
                side: turn.side,
                owed_by,
            };
            [
                step(turn.from, turn.side),
                step(turn.to, turn.side.reversed()),
            ]
        })
    }

    /// Whether the server's only word is taken for a session ticket: it is short, nothing followed it
    /// for long, and neither side left, as after a refusal, or has to fetch a token.
    fn ends_in_ticket(&self, now: u64) -> bool {
        self.last_reply().is_some_and(|(reply, rounds)| {
            let alone = now.saturating_sub(reply.to) >= QUIET && !self.awaits_token();
            let sized = LIKELY_TICKET
                .iter()
                .any(|sizes| sizes.contains(&reply.bytes));
            alone && sized && self.may_be_ticket(reply, rounds)
        })
    }
}
