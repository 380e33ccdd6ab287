//! TLS: whose it is, how far its handshake has come, and which records are sealed.

use tracer_ebpf::framing::{Framing, SMP_HEADER, TDS_HEADER, content_type};

use super::{
    Context, Decision, Dialogue, Reading, Stage,
    sealed::{Record, Terms},
};
use crate::{
    record::{Encryption, Outcome, PhaseName, Stranger},
    session::{input::Side, stream::Unit},
    tds::tls::ServerHello,
};

/// TDS 8.0's name where TLS's client offers protocols.
const ALPN_TDS_8: &str = "tds/8.0";
/// A handshake message's type (RFC 8446 §4).
const CLIENT_HELLO: u8 = 1;
const TLS_1_3: u16 = 0x0304;
/// An alert's level (RFC 5246 §7.2).
const FATAL: u8 = 2;
/// A server that owes for this long is what a client gives up on, nanoseconds.
const GIVES_UP_AFTER: u64 = 1_000_000_000;
/// What sealing adds at most, where the cipher suite does not tell.
const MOST_SEALING: u32 = 64;

impl Dialogue {
    /// TLS records inside TDS packets (TDS 7.x).
    pub(super) fn wrapped_tls(
        &mut self,
        side: Side,
        unit: &Unit,
        context: &mut Context<'_>,
    ) -> Option<Decision> {
        // jTDS sends a packet's header in a segment of its own: joined after it, TLS seemed to come first.
        if self.strict && !self.from_start {
            self.strict = false;
            self.contents.encryption = None;
            context.ledger.forget_beginning(PhaseName::Tls);
        }
        // A client may start TLS though the server has said that it does not speak it.
        let too_eager = self.stage == Stage::Login
            && side == Side::ToServer
            && self.contents.tls[side as usize].records == 0;
        if too_eager || matches!(self.stage, Stage::Opening | Stage::Prelogin) {
            self.stage = Stage::Tls;
        }
        let tls = &mut self.contents.tls[side as usize];
        let sealed_before = tls.application_records;
        let mut at = 0;
        for unseen in &unit.unseen {
            let seen = unit.body.get(at..unseen.start).unwrap_or_default();
            tls.extend(seen, context.fingerprints);
            tls.pass(unseen.len());
            at = unseen.end;
        }
        let seen = unit.body.get(at..).unwrap_or_default();
        tls.extend(seen, context.fingerprints);
        let sealed = tls.application_records > sealed_before;
        self.note_hello(side, unit);
        if side == Side::ToServer && sealed && self.speaks_tls13() {
            self.sealed.push(Record {
                side,
                from: unit.from,
                to: unit.to,
                len: unit.body_len(),
                wrapped: true,
            });
        }
        self.handshake_moved(side, unit, context);
        self.alert_ends(unit, context)
    }

    /// Counts the segments of the client's first message.
    fn note_hello(&mut self, side: Side, unit: &Unit) {
        let hello = self.contents.tls[Side::ToServer as usize]
            .client_hello
            .is_some();
        let is_first = side == Side::ToServer && hello && self.hello_segments.is_none();
        if is_first && unit.unseen.is_empty() {
            self.hello_segments = Some(unit.segments);
        }
    }

    /// A fatal alert in clear ends the login, unless the client gives up by it: then it is seen how.
    fn alert_ends(&self, unit: &Unit, context: &Context<'_>) -> Option<Decision> {
        let mut alerts = self.contents.tls.iter().filter_map(|side| side.alert);
        let is_fatal = alerts.any(|alert| alert.level == FATAL);
        let in_time = context.ledger.debt().is_none_or(|debt| {
            debt.by == Side::ToServer || unit.to.saturating_sub(debt.since) < GIVES_UP_AFTER
        });
        let ends = is_fatal && in_time && self.inside_tls() && !self.foreign;
        ends.then(|| Decision::observed(Outcome::TlsFailed, unit.to))
    }

    /// A TLS record straight on TCP.
    pub(super) fn record(
        &mut self,
        side: Side,
        unit: &Unit,
        context: &mut Context<'_>,
    ) -> Option<Decision> {
        // TDS 7 has its ClientHello in a packet of its own, whatever was missed before it.
        let is_hello =
            unit.header.kind == content_type::HANDSHAKE && unit.body.first() == Some(&CLIENT_HELLO);
        let is_first = self.stage == Stage::Opening && (is_hello || context.whole);
        if side == Side::ToServer && is_first {
            self.strict = true;
            self.stage = Stage::Tls;
        }
        let opens = matches!(self.stage, Stage::Opening | Stage::Prelogin);
        if opens && unit.header.kind == content_type::HANDSHAKE {
            self.stage = Stage::Tls;
        }
        let sealed_data = unit.header.kind == content_type::APPLICATION_DATA;
        let handshaking =
            !sealed_data && matches!(self.stage, Stage::Opening | Stage::Prelogin | Stage::Tls);
        let tls = &mut self.contents.tls[side as usize];
        if sealed_data || unit.unseen.is_empty() {
            tls.extend(&unit.prefix[..5], context.fingerprints);
            tls.extend(&unit.body, context.fingerprints);
        } else {
            tls.gap();
        }
        self.note_hello(side, unit);
        self.notice_whose_tls();
        if unit.header.kind == content_type::ALERT {
            if side == Side::ToServer {
                self.client_bye.get_or_insert(unit.to);
            }
            return self.alert_ends(unit, context);
        }
        if handshaking {
            self.handshake_moved(side, unit, context);
        }
        if sealed_data {
            self.sealed_data(side, unit, context)
        } else {
            None
        }
    }

    /// A record whose content cannot be read.
    fn sealed_data(
        &mut self,
        side: Side,
        unit: &Unit,
        context: &mut Context<'_>,
    ) -> Option<Decision> {
        if self.login_was_sealed {
            return None;
        }
        let was_up = self.tls_is_up();
        self.sealed.push(Record {
            side,
            from: unit.from,
            to: unit.to,
            len: unit.body_len(),
            wrapped: false,
        });
        if !was_up && self.stage == Stage::Tls {
            let reading = self.reading();
            if reading.turns().is_empty() {
                self.tls_last = Some(unit.to);
                let next = self.next_in_handshake(side, &reading);
                super::write_down(context.ledger, side, unit, next);
            }
        }
        if self.foreign {
            return None;
        }
        let reading = self.reading();
        if reading.login().len() > 1 {
            self.note_full();
        }
        let belief = reading.went_on()?;
        // Of turns that were not all seen, none can be told from another.
        if !self.from_start && self.contents.tls[0].client_hello.is_none() {
            return Some(self.request(unit.from));
        }
        Some(belief.into())
    }

    /// Sealed replies: the encryption is full, whatever was said before.
    fn note_full(&mut self) {
        // Without what came before, it may be TDS 8.0 as well.
        let known = self.contents.asked.is_some() || self.contents.answered.is_some();
        if self.strict {
            self.contents.encryption = Some(Encryption::Strict);
        } else if known {
            self.contents.encryption = Some(Encryption::Full);
        }
    }

    /// TLS that comes first is TDS 8.0's where its client asks for that, and is read as such where a
    /// server answers one that names none; a client that offers other protocols only is somebody
    /// else's.
    fn notice_whose_tls(&mut self) {
        if !self.strict || self.foreign {
            return;
        }
        let [client, server] = &self.contents.tls;
        let offered = client.client_hello.as_ref().map(|hello| &hello.alpn[..]);
        let offered = offered.unwrap_or_default();
        let asked_for = self.offers_tds8();
        if !offered.is_empty() && !asked_for {
            self.foreign = true;
            self.contents.stranger = Some(Stranger::Tls);
            self.contents.encryption = None;
        } else if asked_for || server.server_hello.is_some() {
            self.contents.encryption = Some(Encryption::Strict);
        }
    }

    /// Whether TLS came first, and its client named no protocol.
    pub(in crate::session) fn is_unnamed(&self) -> bool {
        let hello = self.contents.tls[Side::ToServer as usize]
            .client_hello
            .as_ref();
        self.strict && hello.is_none_or(|hello| hello.alpn.is_empty())
    }

    /// Whether the client asks for TDS 8.0.
    fn offers_tds8(&self) -> bool {
        let hello = self.contents.tls[Side::ToServer as usize]
            .client_hello
            .as_ref();
        hello.is_some_and(|hello| hello.alpn.iter().any(|name| name == ALPN_TDS_8))
    }

    /// Whether TLS came first.
    pub(in crate::session) fn is_strict(&self) -> bool {
        self.strict
    }

    /// A message of the handshake, or a part of one, has passed.
    fn handshake_moved(&mut self, side: Side, unit: &Unit, context: &mut Context<'_>) {
        if matches!(self.stage, Stage::Login | Stage::Auth) {
            return;
        }
        // Joined late, TLS may have begun before; a packet's header may have.
        let [client, server] = &self.contents.tls;
        let is_whole = self.strict || unit.header.framing == Framing::Tds;
        let is_hello = client.client_hello.is_some() && server.records == 0;
        if self.from_start || (is_hello && is_whole) {
            context.ledger.begin(PhaseName::Tls, unit.from);
        }
        self.tls_last = Some(unit.to);
        let next = self.next_in_handshake(side, &self.reading());
        super::write_down(context.ledger, side, unit, next);
    }

    /// Who has to go on after a record of the handshake.
    fn next_in_handshake(&self, side: Side, reading: &Reading) -> Side {
        let [client, server] = &self.contents.tls;
        let tls13 = self.speaks_tls13();
        if self.tls_is_up_by(reading) {
            return Side::ToServer;
        }
        match side {
            // Its first flight is the hello, its last one ends in Finished.
            Side::ToServer if server.server_hello.is_none() => {
                if client.client_hello.is_some() {
                    Side::ToClient
                } else {
                    Side::ToServer
                }
            }
            Side::ToServer if !tls13 && client.finished => Side::ToClient,
            Side::ToServer => Side::ToServer,
            Side::ToClient if server.hello_retry && server.server_hello.is_none() => Side::ToServer,
            Side::ToClient if tls13 && server.application_records > 0 => Side::ToServer,
            Side::ToClient if server.server_hello_done || server.finished => Side::ToServer,
            Side::ToClient => Side::ToClient,
        }
    }

    /// What TLS agreed on, once the server has said so in clear.
    pub(in crate::session) fn server_hello(&self) -> Option<&ServerHello> {
        self.contents.tls[Side::ToClient as usize]
            .server_hello
            .as_ref()
    }

    fn speaks_tls13(&self) -> bool {
        self.server_hello()
            .is_some_and(|hello| hello.version == TLS_1_3)
    }

    /// Whether both sides have finished the handshake.
    pub(super) fn tls_is_up(&self) -> bool {
        self.tls_is_up_by(&self.reading())
    }

    pub(super) fn tls_is_up_by(&self, reading: &Reading) -> bool {
        if self.speaks_tls13() {
            return reading.finished.is_some();
        }
        let [client, server] = &self.contents.tls;
        client.change_cipher_spec && client.finished && server.change_cipher_spec && server.finished
    }

    /// What the handshake tells of the sealed records.
    pub(super) fn terms(&self) -> Terms {
        let agreed = [&self.contents.asked, &self.contents.answered].map(|prelogin| {
            let prelogin = prelogin.as_ref();
            prelogin.and_then(|prelogin| prelogin.fedauth_required) == Some(true)
        });
        let sealing = self.server_hello().and_then(ServerHello::sealing);
        let exactly = |plain: u32| sealing.map(|sealing| sealing.of(plain).0);
        let mars = self.contents.mars();
        Terms {
            tls13: self.speaks_tls13(),
            strict: self.strict,
            unnamed: self.is_unnamed(),
            federated: agreed == [true, true],
            attention: exactly(TDS_HEADER),
            smp_control: exactly(SMP_HEADER).filter(|_| mars != Some(false)),
            whole: !self.missed,
            round_trip: self.round_trip,
            overhead: exactly(0).unwrap_or(MOST_SEALING),
        }
    }
}

/// Whether a packet's body is TLS records rather than PRELOGIN options.
pub(super) fn holds_tls(body: &[u8]) -> bool {
    matches!(body, [20..=23, 3, ..])
}
