//! What a login's messages say: the only place that knows their order.
//!
//! `clear` reads what can be read, `tls` the handshake, `sealed` the order and sizes of what cannot;
//! `usage` follows what the connection is used for after the login. Each message is written into the
//! ledger, with the side that has to speak next.

mod clear;
mod decision;
mod message;
pub(in crate::session) mod sealed;
mod tls;
pub(in crate::session) mod usage;

use std::sync::Arc;

use tracer_ebpf::framing::{Framing, packet_type};

pub(in crate::session) use self::{
    clear::{Contents, SealedAuth},
    decision::Decision,
};
use self::{
    message::Message,
    sealed::{Reading, Sealed},
};
use super::{input::Side, ledger::Ledger, stream::Unit};
use crate::{
    record::{Encryption, Outcome, PhaseName, Stranger, identity::Policy},
    tds::tls::Fingerprints,
};

/// Which message is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing came from the client yet.
    #[default]
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

/// What a message's reader needs beside it.
pub(in crate::session) struct Context<'a> {
    pub(in crate::session) ledger: &'a mut Ledger,
    /// What may be said of names.
    pub(in crate::session) identity: &'a Policy,
    /// The fingerprints of clients.
    pub(in crate::session) fingerprints: &'a mut Fingerprints,
    /// All of the connection was seen so far: what did not come was not sent.
    pub(in crate::session) whole: bool,
    /// When the last packet passed.
    pub(in crate::session) now: u64,
}

/// The conversation of an undecided login.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(in crate::session) struct Dialogue {
    /// What the messages said.
    pub(in crate::session) contents: Contents,
    stage: Stage,
    sealed: Sealed,
    messages: [Message; 2],
    /// When the last TLS handshake message passed.
    tls_last: Option<u64>,
    /// TLS came before any TDS (TDS 8.0).
    strict: bool,
    /// It is another protocol's.
    foreign: bool,
    /// The server's first word was none of TDS.
    server_is_foreign: bool,
    /// The connection's first packet was seen.
    from_start: bool,
    /// A packet or record of the server was read.
    server_spoke: bool,
    /// A packet of TDS was.
    server_spoke_tds: bool,
    /// When a reply ended that acknowledges the login, and that may say more where it was not seen.
    acknowledged: Option<u64>,
    /// When a reply ended of which too little was seen to say what it was.
    unread_reply: Option<u64>,
    /// The client has sent its login inside TLS, and the server answered in clear.
    login_was_sealed: bool,
    /// Segments that the client's first message of TLS came in.
    hello_segments: Option<u32>,
    /// When the client ended TLS in order.
    client_bye: Option<u64>,
    /// Some of the connection passed unseen.
    missed: bool,
    /// How long the handshake's round trip took, nanoseconds; 0 where that is not known.
    round_trip: u64,
}

impl Dialogue {
    /// A conversation of which the first packet was seen, or not.
    pub(in crate::session) fn new(from_start: bool) -> Self {
        Self {
            from_start,
            ..Self::default()
        }
    }

    /// The connection's first packet was not seen, though others of its handshake were.
    pub(in crate::session) fn start_was_missed(&mut self) {
        self.from_start = false;
    }

    /// The handshake's round trip took so long, nanoseconds.
    pub(in crate::session) fn note_round_trip(&mut self, took: u64) {
        self.round_trip = took;
    }

    /// Whether the connection's first packet was seen.
    pub(in crate::session) fn saw_start(&self) -> bool {
        self.from_start
    }

    /// Reads one packet or record; what it decides.
    pub(in crate::session) fn read(
        &mut self,
        side: Side,
        unit: &Unit,
        context: &mut Context<'_>,
    ) -> Option<Decision> {
        self.missed |= !context.whole;
        if side == Side::ToClient {
            self.server_spoke = true;
            self.server_spoke_tds |= unit.header.framing == Framing::Tds;
        }
        match (side, unit.header.framing) {
            (_, Framing::Smp) => {
                (!self.is_out_of_turn(context.whole)).then(|| self.request(unit.from))
            }
            (_, Framing::Tls) => self.record(side, unit, context),
            (_, Framing::Tds) if self.foreign => None,
            (Side::ToServer, Framing::Tds) => self.client_packet(unit, context),
            (Side::ToClient, Framing::Tds) => self.server_packet(unit, context),
        }
    }

    /// Bytes that are of none of the protocols spoken here. Whether the connection is given up as
    /// somebody else's.
    pub(in crate::session) fn unknown(
        &mut self,
        side: Side,
        prefix: &[u8; 8],
        context: &mut Context<'_>,
    ) -> bool {
        let opens = side == Side::ToServer && self.stage == Stage::Opening && context.whole;
        // Whatever it means, it is the other side's turn; but a stranger is owed nothing.
        let owed_by = if opens { side } else { side.reversed() };
        context.ledger.step(context.now, side, owed_by);
        if opens {
            self.contents.stranger = Some(name_stranger(prefix));
        }
        // A server whose first word is none of TDS accepts no login, whatever the client goes on with.
        if side == Side::ToClient && !self.server_spoke && context.whole {
            self.disown();
            self.server_is_foreign = true;
        }
        self.server_spoke |= side == Side::ToClient;
        self.foreign
    }

    /// What the sealed records say.
    pub(in crate::session) fn reading(&self) -> Arc<Reading> {
        if self.sealed.is_empty() {
            return Arc::default();
        }
        self.sealed.read(self.terms())
    }

    /// The sealed records from one on.
    pub(in crate::session) fn sealed_from(&self, first: usize) -> &[sealed::Record] {
        self.sealed.from(first)
    }

    /// The ledger with all that the sealed records say at `now`, of a login that was answered or not.
    pub(in crate::session) fn full_ledger(
        &self,
        ledger: &Ledger,
        now: u64,
        answered: bool,
    ) -> Ledger {
        let mut full = ledger.clone();
        let reading = self.reading();
        if self.login_was_sealed {
            self.end_tls(None, &reading, &mut full);
            return full;
        }
        for step in reading.moves(now) {
            full.insert(step);
        }
        // Behind a gap a request may look like a token, and where the first reply ended is not known.
        let mut exchange = reading.exchange();
        if !answered {
            exchange = exchange.or_else(|| reading.challenged(now));
        }
        let login = reading.login().first();
        let login = login.filter(|_| !self.missed || (self.knows_order() && exchange.is_none()));
        let (prelogin, answer) = reading.prelogin();
        let first = prelogin.or(login.copied());
        self.end_tls(first.map(|turn| turn.from), &reading, &mut full);
        if let Some(turn) = prelogin {
            full.begin(PhaseName::Prelogin, turn.from);
        }
        if let Some(turn) = answer.filter(|_| !self.missed) {
            full.end(PhaseName::Prelogin, turn.to, true);
        }
        if let Some(turn) = login {
            full.begin(PhaseName::Login, turn.from);
        }
        if let Some(at) = exchange.filter(|_| !self.missed) {
            full.end(PhaseName::Login, at, true);
            full.begin(PhaseName::Auth, at);
        }
        full
    }

    /// Some of the connection passed unseen.
    pub(in crate::session) fn note_missed(&mut self) {
        self.missed = true;
    }

    /// Whether it is known what the first sealed message of the client is.
    fn knows_order(&self) -> bool {
        self.strict || self.contents.answered.is_some()
    }

    /// Ends the phase of TLS where both sides have finished the handshake, or what follows it began.
    fn end_tls(&self, next: Option<u64>, reading: &Reading, ledger: &mut Ledger) {
        let up = self.tls_is_up_by(reading);
        let last = reading.finished.or(self.tls_last);
        let Some(last) = last.filter(|_| up || next.is_some()) else {
            return;
        };
        // Its last message may have been missed.
        ledger.end(PhaseName::Tls, next.map_or(last, |next| last.min(next)), up);
    }

    /// The phase the login is in, by the ledger with all that is known.
    pub(in crate::session) fn phase(&self, full: &Ledger) -> PhaseName {
        if self.from_start && !full.has_ended(PhaseName::Handshake) {
            return PhaseName::Handshake;
        }
        if let Some(open) = full.open_phase() {
            return open;
        }
        if full.has_begun(PhaseName::Auth) || self.stage == Stage::Auth {
            return PhaseName::Auth;
        }
        if full.has_begun(PhaseName::Login) || full.has_ended(PhaseName::Login) {
            return PhaseName::Login;
        }
        match self.stage {
            Stage::Opening | Stage::Prelogin => PhaseName::Prelogin,
            Stage::Tls if !full.has_ended(PhaseName::Tls) => PhaseName::Tls,
            Stage::Tls if self.strict && !full.has_ended(PhaseName::Prelogin) => {
                PhaseName::Prelogin
            }
            Stage::Tls | Stage::Login => PhaseName::Login,
            Stage::Auth => PhaseName::Auth,
        }
    }

    /// Whether TLS messages have passed and its handshake has not ended.
    pub(in crate::session) fn inside_tls(&self) -> bool {
        self.stage == Stage::Tls && self.tls_last.is_some() && !self.tls_is_up()
    }

    /// In how many segments the client's first message of TLS came, where that is known.
    pub(in crate::session) fn hello_segments(&self) -> Option<u32> {
        self.hello_segments
    }

    /// When the client ended TLS in order, before the connection ended.
    pub(in crate::session) fn client_bye(&self) -> Option<u64> {
        self.client_bye.or_else(|| self.reading().client_bye)
    }

    /// Whether the client took its login back.
    pub(in crate::session) fn was_taken_back(&self) -> bool {
        self.contents.attention || self.reading().attention
    }

    /// A request shows that the login is over, though its acknowledgement was not seen, or not all
    /// of it. Of a connection joined late it says nothing about the login, nor of a server that was
    /// not heard to speak TDS.
    pub(in crate::session) fn request(&mut self, at: u64) -> Decision {
        if let Some(at) = self.acknowledged {
            self.contents.auth.answered(at);
            return Decision::observed(Outcome::Success, at);
        }
        if !(self.from_start && self.server_spoke_tds) {
            return Decision {
                by_request: true,
                ..Decision::observed(Outcome::Unknown, at)
            };
        }
        let replied = self.unread_reply;
        Decision {
            by_request: replied.is_none(),
            ..Decision::inferred(Outcome::Success, sealed::CONFIRMED, replied.unwrap_or(at))
        }
    }

    /// Whether a reply to the login passed of which too little was seen.
    pub(in crate::session) fn has_unread_reply(&self) -> bool {
        self.unread_reply.is_some()
    }

    /// Whether a request would come before any login, of a client of which nothing was missed: then
    /// it is somebody else's protocol, or a probe.
    pub(in crate::session) fn is_out_of_turn(&self, whole: bool) -> bool {
        let logged_in = matches!(self.stage, Stage::Login | Stage::Auth) || !self.sealed.is_empty();
        self.foreign || (whole && self.from_start && !logged_in)
    }

    /// Whether the server's first word was none of TDS.
    pub(in crate::session) fn server_is_foreign(&self) -> bool {
        self.server_is_foreign
    }

    /// Whether the connection is somebody else's.
    pub(in crate::session) fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// A request came before any login: the connection is somebody else's.
    pub(in crate::session) fn disown(&mut self) {
        self.foreign = true;
        self.contents.stranger.get_or_insert(Stranger::Other);
    }

    /// Whether any message of the login itself was seen. Of a connection joined late it shows that the
    /// login was not over.
    pub(in crate::session) fn saw_login(&self) -> bool {
        let tls = self
            .contents
            .tls
            .iter()
            .any(|side| side.client_hello.is_some());
        let prelogin = self.contents.asked.is_some();
        tls || prelogin || self.stage == Stage::Auth || self.contents.saw_login_message
    }

    /// Whether TLS hides what comes of the login.
    pub(in crate::session) fn is_sealed(&self) -> bool {
        let hidden = matches!(
            self.contents.encryption,
            Some(Encryption::Full | Encryption::Strict)
        );
        hidden && !self.login_was_sealed
    }

    /// Whether the login itself, or its first packet, came inside TLS.
    pub(in crate::session) fn is_login_sealed(&self) -> bool {
        self.login_was_sealed || !self.reading().login().is_empty()
    }

    /// What the order of sealed records shows of the authentication, given how many of its messages
    /// came before the deciding reply.
    pub(in crate::session) fn sealed_auth(&self, rounds: usize) -> SealedAuth {
        let token = self.reading().federated_token();
        let answered = rounds - usize::from(token.is_some() && rounds > 0);
        SealedAuth {
            login: self.is_login_sealed(),
            rounds: u32::try_from(answered).unwrap_or(u32::MAX),
            token_fetch: token.map(|(informed, sent)| sent.saturating_sub(informed)),
        }
    }

    /// Whether all that passed inside TLS came after a login that was not seen.
    pub(in crate::session) fn is_sealed_past_login(&self) -> bool {
        !self.from_start && !self.sealed.is_empty() && !self.saw_login()
    }

    /// Appends a packet to its message; the whole message with its last packet.
    fn assemble(&mut self, side: Side, unit: &Unit) -> Option<Message> {
        let message = &mut self.messages[side as usize];
        message.append(side, unit);
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

/// Writes a packet of one side into the ledger: its first byte, and its last.
fn write_down(ledger: &mut Ledger, side: Side, unit: &Unit, owed_by: Side) {
    if unit.from < unit.to {
        ledger.step(unit.from, side, side);
    }
    ledger.step(unit.to, side, owed_by);
}

/// Who has to go on after a packet of a message: the other side once that is whole.
fn next_after(side: Side, unit: &Unit) -> Side {
    if unit.header.ends_message() {
        side.reversed()
    } else {
        side
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

/// Whether a packet of this kind asks for something after a login.
pub(in crate::session) fn is_request(kind: u8) -> bool {
    matches!(
        kind,
        packet_type::SQL_BATCH
            | packet_type::RPC
            | packet_type::BULK_LOAD
            | packet_type::TRANSACTION_MANAGER
    )
}
