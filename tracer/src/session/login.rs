//! What a login's messages say, and which phase each of them ends.

mod auth;
mod describe;
mod messages;
mod reply;
mod sealed;

use std::ops::Range;

use tracer_ebpf::{
    event::Counters,
    framing::{Framing, packet_type},
};
use zeroize::Zeroizing;

use self::auth::AuthEvidence;
use super::{
    certificates::Certificates,
    dark::{Dark, EARLIER, Sealed},
    stream::{Found, Stream, Unit},
    timeline::{Phases, Side, Timeline},
};
use crate::{
    record::{Basis, ConnectionFacts, Outcome, PhaseName, Stranger, identity::Policy},
    tds::{
        prelogin::Prelogin,
        tls::{ServerHello, TlsSide},
        version::TdsVersion,
    },
};

/// Message bodies kept while their packets come; a LOGIN7 is at most 128 KiB.
const MAX_BODY: usize = 128 * 1024;

/// Which message is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing came from the client yet.
    Opening,
    /// The client's PRELOGIN is on its way, or waits for its answer.
    Prelogin,
    /// TLS is being negotiated.
    Tls,
    /// The login packet is due, on its way, or waits for its first answer.
    Login,
    /// The first answer was not the last.
    Auth,
}

/// What came of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    pub(super) basis: Basis,
    pub(super) confidence: Option<f64>,
    /// When the deciding message had passed.
    pub(super) at: u64,
    /// The sealed request that showed it, behind those that had passed before and their answers.
    pub(super) requests: [Option<Sealed>; EARLIER + 1],
    /// A request alone shows the outcome: the answer before it was not seen.
    pub(super) by_request: bool,
}

impl Verdict {
    /// Of what was seen.
    pub(super) fn observed(outcome: Outcome, at: u64) -> Self {
        Self {
            outcome,
            basis: Basis::Observed,
            confidence: None,
            at,
            requests: [None; EARLIER + 1],
            by_request: false,
        }
    }

    /// Of what is likely.
    pub(super) fn inferred(outcome: Outcome, confidence: f64, at: u64) -> Self {
        Self {
            basis: Basis::Inferred,
            confidence: Some(confidence),
            ..Self::observed(outcome, at)
        }
    }
}

/// A message being put together from its packets.
#[derive(Debug, Default)]
struct Message {
    body: Zeroizing<Vec<u8>>,
    /// The parts of the body that were withheld or lost, ascending.
    unseen: Vec<Range<usize>>,
    spid: u16,
}

/// An undecided login.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Login {
    pub(super) streams: [Stream; 2],
    pub(super) timeline: Timeline,
    pub(super) phases: Phases,
    pub(super) stage: Stage,
    pub(super) dark: Dark,
    messages: [Message; 2],
    tls: [TlsSide; 2],
    /// When the last TLS handshake message passed, and whose it was.
    tls_last: Option<(u64, Side)>,
    /// TLS came before any TDS (TDS 8.0).
    strict: bool,
    /// It is another protocol's.
    foreign: bool,
    /// A packet or record of the server was read.
    server_spoke: bool,
    /// A packet of TDS was.
    server_spoke_tds: bool,
    /// When a reply ended that acknowledges the login, and that may say more where it was not seen.
    acknowledged: Option<u64>,
    /// When a reply ended of which too little was seen to say what it was.
    unread: Option<u64>,
    /// An acknowledgement was read, whatever else of the reply was.
    acked: bool,
    /// The last reply to the login was seen whole.
    reply_was_seen: bool,
    /// The client has sent its login inside TLS.
    sealed: bool,
    asked: Option<Prelogin>,
    answered: Option<Prelogin>,
    version: Option<TdsVersion>,
    auth: AuthEvidence,
    /// Since when the server owes a message.
    owed_since: Option<u64>,
    /// TLS told who left: the client's `close_notify`.
    client_said_bye: bool,
}

/// What a login's reader may change beside itself.
pub(super) struct Context<'a> {
    pub(super) facts: &'a mut ConnectionFacts,
    pub(super) sent: &'a [Counters; 2],
    /// What may be said of names.
    pub(super) identity: &'a Policy,
    pub(super) certificates: &'a mut Certificates,
    /// For the bytes of a packet while it is read.
    pub(super) memory: &'a mut Zeroizing<Vec<u8>>,
}

impl Login {
    /// A login that starts at `from`; `known` unless its connection was joined late.
    pub(super) fn new(from: u64, known: bool) -> Self {
        Self {
            streams: Default::default(),
            timeline: Timeline::default(),
            phases: Phases::new(from, known),
            stage: Stage::Opening,
            dark: Dark::default(),
            messages: Default::default(),
            tls: Default::default(),
            tls_last: None,
            strict: false,
            foreign: false,
            server_spoke: false,
            server_spoke_tds: false,
            acknowledged: None,
            unread: None,
            acked: false,
            reply_was_seen: false,
            sealed: false,
            asked: None,
            answered: None,
            version: None,
            auth: AuthEvidence::default(),
            owed_since: None,
            client_said_bye: false,
        }
    }

    /// The phase the login is in.
    pub(super) fn phase(&self) -> PhaseName {
        if !self.phases.has(PhaseName::Handshake) {
            return PhaseName::Handshake;
        }
        match self.stage {
            Stage::Opening | Stage::Prelogin => PhaseName::Prelogin,
            Stage::Tls if self.tls_is_up() && self.strict => PhaseName::Prelogin,
            Stage::Tls if self.tls_is_up() => PhaseName::Login,
            Stage::Tls => PhaseName::Tls,
            Stage::Login => PhaseName::Login,
            Stage::Auth => PhaseName::Auth,
        }
    }

    /// Whether TLS messages have passed and its handshake has not ended.
    pub(super) fn inside_tls(&self) -> bool {
        self.stage == Stage::Tls && self.tls_last.is_some() && !self.tls_is_up()
    }

    /// Since when the server owes the next message.
    pub(super) fn owed_since(&self) -> Option<u64> {
        self.owed_since
    }

    /// Whether the client has owed a message for as long as anybody waits.
    pub(super) fn client_owed(&self, at: u64) -> bool {
        let quiet = at.saturating_sub(self.timeline.last());
        self.owed_since.is_none() && quiet >= super::ending::OWED_TOO_LONG
    }

    /// Whether the client ended TLS in order before the connection ended.
    pub(super) fn client_said_bye(&self) -> bool {
        self.client_said_bye
    }

    /// Reads what a stream has become able to tell.
    pub(super) fn read(&mut self, side: Side, context: &mut Context<'_>) -> Option<Verdict> {
        while let Some(found) = self.streams[side as usize].next(context.memory) {
            let verdict = match found {
                Found::Unit(unit) => {
                    let verdict = self.unit(side, &unit, context);
                    *context.memory = unit.into_memory();
                    verdict
                }
                Found::Unknown(prefix) => self.stranger(side, &prefix, context),
            };
            if verdict.is_some() {
                return verdict;
            }
        }
        None
    }

    fn unit(&mut self, side: Side, unit: &Unit, context: &mut Context<'_>) -> Option<Verdict> {
        self.owes(side, unit);
        match (side, unit.header.framing) {
            (_, Framing::Smp) => (!self.is_out_of_turn()).then(|| self.request(unit.from)),
            (_, Framing::Tls) => self.record(side, unit, context),
            (_, Framing::Tds) if self.foreign => None,
            (Side::ToServer, Framing::Tds) => self.client_packet(unit, context),
            (Side::ToClient, Framing::Tds) => self.server_packet(unit, context),
        }
    }

    fn owes(&mut self, side: Side, unit: &Unit) {
        match side {
            Side::ToClient => {
                self.owed_since = None;
                self.server_spoke = true;
                self.server_spoke_tds |= unit.header.framing == Framing::Tds;
            }
            Side::ToServer if unit.header.kind == packet_type::ATTENTION => {}
            Side::ToServer => self.owed_since = Some(unit.to),
        }
    }

    /// A request shows that the login is over, though its acknowledgement was not seen, or not all
    /// of it. Of a connection joined late it says nothing about the login, nor of a server that was
    /// not heard to speak TDS.
    pub(super) fn request(&mut self, at: u64) -> Verdict {
        if let Some(at) = self.acknowledged {
            self.auth.answered(at);
            return Verdict::observed(Outcome::Success, at);
        }
        if !(self.phases.start_was_seen() && self.server_spoke_tds) {
            return Verdict {
                by_request: true,
                ..Verdict::observed(Outcome::Unknown, at)
            };
        }
        let replied = self.unread;
        Verdict {
            by_request: replied.is_none(),
            ..Verdict::inferred(
                Outcome::Success,
                super::dark::CONFIRMED,
                replied.unwrap_or(at),
            )
        }
    }

    /// What TLS agreed on, once the server has said so in clear.
    pub(super) fn server_hello(&self) -> Option<&ServerHello> {
        self.tls[Side::ToClient as usize].server_hello.as_ref()
    }

    /// Whether a reply to the login passed of which too little was seen.
    pub(super) fn has_unread_reply(&self) -> bool {
        self.unread.is_some()
    }

    /// Whether a request would come before any login, of a client of which nothing was missed: then
    /// it is somebody else's protocol, or a probe.
    pub(super) fn is_out_of_turn(&self) -> bool {
        let logged_in = matches!(self.stage, Stage::Login | Stage::Auth);
        self.foreign || (self.is_whole() && !logged_in)
    }

    /// Whether the connection is somebody else's.
    pub(super) fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// Notes that the connection is somebody else's.
    pub(super) fn give_away(&mut self) {
        self.foreign = true;
        for stream in &mut self.streams {
            stream.forsake();
        }
    }

    /// Bytes that are of none of the protocols spoken here.
    fn stranger(
        &mut self,
        side: Side,
        prefix: &[u8; 8],
        context: &mut Context<'_>,
    ) -> Option<Verdict> {
        let speaks_first = side == Side::ToServer && self.stage == Stage::Opening;
        if speaks_first && self.is_whole() {
            context.facts.login.stranger = Some(name_stranger(prefix));
        }
        // A server whose first word is none of TDS accepts no login, whatever the client goes on with.
        if side == Side::ToClient && !self.server_spoke && self.is_whole() {
            self.give_away();
        }
        None
    }

    /// Whether all of the connection was seen so far: what did not come was not sent.
    pub(super) fn is_whole(&self) -> bool {
        self.streams.iter().all(Stream::is_opened)
            && !self.streams.iter().any(Stream::is_incomplete)
    }

    /// Appends a packet to its message; the whole message with its last packet.
    fn assemble(&mut self, side: Side, unit: &Unit) -> Option<Message> {
        let message = &mut self.messages[side as usize];
        let before = message.body.len();
        let unseen = unit.unseen.iter();
        message
            .unseen
            .extend(unseen.map(|part| part.start + before..part.end + before));
        let room = MAX_BODY
            .saturating_sub(message.body.len())
            .min(unit.body.len());
        message.body.extend_from_slice(&unit.body[..room]);
        let spid = u16::from_be_bytes([unit.prefix[4], unit.prefix[5]]);
        if message.spid == 0 {
            message.spid = spid;
        }
        if !unit.header.ends_message() {
            return None;
        }
        Some(std::mem::take(message))
    }

    /// What of a message has come though it never ended.
    fn unfinished(&mut self, side: Side) -> Option<Message> {
        let message = std::mem::take(&mut self.messages[side as usize]);
        (!message.body.is_empty()).then_some(message)
    }
}

impl Message {
    /// Its body up to the first byte that was not seen.
    fn seen(&self) -> &[u8] {
        let end = self.unseen.first().map_or(usize::MAX, |part| part.start);
        &self.body[..end.min(self.body.len())]
    }

    /// The body with other bytes in place of those that were not seen: what reads differently
    /// there is not known.
    fn otherwise(&self) -> Zeroizing<Vec<u8>> {
        let mut body = self.body.clone();
        for part in &self.unseen {
            if let Some(bytes) = body.get_mut(part.clone()) {
                bytes.fill(0xFF);
            }
        }
        body
    }
}

fn name_stranger(prefix: &[u8; 8]) -> Stranger {
    const METHODS: [&[u8]; 7] = [
        b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"CONN", b"HTTP",
    ];
    if METHODS.iter().any(|method| prefix.starts_with(method)) {
        Stranger::Http
    } else {
        Stranger::Other
    }
}
