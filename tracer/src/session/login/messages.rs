//! PRELOGIN, TLS and the login packet: everything before the server's first answer to a login.

use tracer_ebpf::{
    event::Counters,
    framing::{content_type, packet_type},
};

use super::{
    Context, Login, Stage, Verdict,
    auth::Readings,
    describe::{describe_login, describe_tls, version_text},
};
use crate::{
    record::{Encryption, PhaseName, Stranger, Tds, Text},
    session::{stream::Unit, timeline::Side},
    tds::{encryption::negotiate, login7::Login7, pre7::Pre7Login, prelogin::Prelogin},
};

/// A handshake message's type (RFC 8446 §4).
const CLIENT_HELLO: u8 = 1;

impl Login {
    pub(super) fn client_packet(
        &mut self,
        unit: &Unit,
        context: &mut Context<'_>,
    ) -> Option<Verdict> {
        match unit.header.kind {
            packet_type::PRELOGIN
                if holds_tls(&unit.body) || self.messages_hold_tls(Side::ToServer) =>
            {
                self.wrapped_tls(Side::ToServer, unit, context)
            }
            packet_type::PRELOGIN => self.client_prelogin(unit, context),
            packet_type::LOGIN7 if !self.is_answered() => self.client_login(unit, context),
            // python-tds sends its SSPI answers under the login's packet type.
            packet_type::SSPI | packet_type::LOGIN7 => {
                if let Some(message) = self.assemble(Side::ToServer, unit) {
                    let otherwise = message.otherwise();
                    let token = Readings::new(&message.body, &otherwise);
                    self.auth.client_token(token, unit.to, context.identity);
                }
                None
            }
            packet_type::FEDERATED_TOKEN => {
                if self.assemble(Side::ToServer, unit).is_some() {
                    self.auth.federated_token(unit.to);
                }
                None
            }
            packet_type::PRE_TDS7_LOGIN => {
                self.old_login(unit, context);
                None
            }
            packet_type::ATTENTION => {
                context.facts.login.attention = Some(true);
                None
            }
            packet_type::SQL_BATCH
            | packet_type::RPC
            | packet_type::BULK_LOAD
            | packet_type::TRANSACTION_MANAGER => {
                if self.is_out_of_turn() {
                    self.give_away();
                    context.facts.login.stranger = Some(Stranger::Other);
                    return None;
                }
                Some(self.request(unit.from))
            }
            _ => None,
        }
    }

    /// A login of TDS 4.2 or 5.0. Its answer looks like one of TDS 7 and means something else, so
    /// nothing after it is read.
    fn old_login(&mut self, unit: &Unit, context: &mut Context<'_>) {
        let is_one = Pre7Login::decode(&unit.body).is_ok();
        self.begin_login(unit.from, context);
        self.give_away();
        context.facts.tds = None;
        context.facts.login.stranger = Some(if is_one {
            Stranger::PreTds7
        } else {
            Stranger::Other
        });
    }

    /// Whether a login that has passed has been answered, though not for good.
    fn is_answered(&self) -> bool {
        self.stage == Stage::Auth && (self.sealed || self.auth.login_was_read())
    }

    fn messages_hold_tls(&self, side: Side) -> bool {
        self.stage == Stage::Tls && self.tls[side as usize].records > 0
    }

    fn client_prelogin(&mut self, unit: &Unit, context: &mut Context<'_>) -> Option<Verdict> {
        if self.stage == Stage::Opening {
            self.stage = Stage::Prelogin;
        }
        let message = self.assemble(Side::ToServer, unit)?;
        let asked = Prelogin::decode(message.seen()).ok()?;
        let tds = context.facts.tds.get_or_insert_with(Tds::default);
        tds.client_version = asked.version.map(|version| Text::shown(&version));
        tds.encryption_asked = asked.encryption.map(|setting| setting.option);
        if let Some(trace) = asked.trace_id.filter(|trace| !trace.connection.is_nil()) {
            tds.connection_guid = Some(Text::shown(&trace.connection));
        }
        if let Some(trace) = asked.trace_id.filter(|trace| !trace.activity.is_nil()) {
            tds.activity_guid = Some(Text::shown(&trace.activity));
            tds.activity_sequence = Some(trace.sequence);
        }
        if let Some(instance) = asked.instance.as_deref().filter(|name| !name.is_empty()) {
            context.facts.server.instance = Some(Text::from(instance));
        }
        self.asked = Some(asked);
        None
    }

    /// The server's answer to PRELOGIN: the phase ends, and both know what is encrypted.
    pub(super) fn server_prelogin(
        &mut self,
        body: &[u8],
        at: u64,
        context: &mut Context<'_>,
    ) -> bool {
        let Ok(answered) = Prelogin::decode(body) else {
            return false;
        };
        self.phases.end(PhaseName::Prelogin, at, true, context.sent);
        let tds = context.facts.tds.get_or_insert_with(Tds::default);
        tds.server_version = answered.version.map(|version| Text::shown(&version));
        tds.encryption_answered = answered.encryption.map(|setting| setting.option);
        // A client says only that it could.
        tds.fedauth_required = answered.fedauth_required;
        tds.instance_mismatch = answered.instance_mismatch;
        let asked = self.asked.as_ref();
        if asked.is_some_and(|asked| asked.nonce_present) && answered.nonce_present {
            self.auth.nonce_exchanged();
        }
        if let Some(mars) = asked.and_then(|asked| asked.mars) {
            tds.mars = Some(mars && answered.mars == Some(true));
        }
        let both = tds.encryption_asked.zip(tds.encryption_answered);
        tds.encryption = both.and_then(|(asked, answered)| negotiate(asked, answered));
        self.stage = match tds.encryption {
            Some(Encryption::None) => Stage::Login,
            _ => Stage::Tls,
        };
        self.answered = Some(answered);
        true
    }

    /// TLS records inside TDS packets (TDS 7.x).
    pub(super) fn wrapped_tls(
        &mut self,
        side: Side,
        unit: &Unit,
        context: &mut Context<'_>,
    ) -> Option<Verdict> {
        // A client may start TLS though the server has said that it does not speak it.
        let too_eager = self.stage == Stage::Login
            && side == Side::ToServer
            && self.tls[side as usize].records == 0;
        if too_eager || matches!(self.stage, Stage::Opening | Stage::Prelogin) {
            self.stage = Stage::Tls;
        }
        let tls13 = self.speaks_tls13();
        let tls = &mut self.tls[side as usize];
        let sealed_before = tls.application_records;
        if unit.unseen.is_empty() {
            tls.extend(&unit.body);
        } else {
            tls.gap();
        }
        if side == Side::ToServer && tls13 && tls.application_records > sealed_before {
            self.dark.wrapped(unit.to);
        }
        self.handshake_moved(side, unit.to, context);
        None
    }

    /// A TLS record straight on TCP.
    pub(super) fn record(
        &mut self,
        side: Side,
        unit: &Unit,
        context: &mut Context<'_>,
    ) -> Option<Verdict> {
        // TDS 7 has its ClientHello in a packet of its own, whatever was missed before it.
        let is_hello =
            unit.header.kind == content_type::HANDSHAKE && unit.body.first() == Some(&CLIENT_HELLO);
        let is_first = self.stage == Stage::Opening && (is_hello || self.is_whole());
        if side == Side::ToServer && is_first {
            self.strict = true;
            self.stage = Stage::Tls;
        }
        let sealed_data = unit.header.kind == content_type::APPLICATION_DATA;
        let handshaking =
            !sealed_data && matches!(self.stage, Stage::Opening | Stage::Prelogin | Stage::Tls);
        let tls = &mut self.tls[side as usize];
        if sealed_data || unit.unseen.is_empty() {
            tls.extend(&unit.prefix[..5]);
            tls.extend(&unit.body);
        } else {
            tls.gap();
        }
        self.notice_whose_tls(context);
        if handshaking {
            self.handshake_moved(side, unit.to, context);
        }
        if unit.header.kind == content_type::ALERT {
            self.client_said_bye |= side == Side::ToServer;
        }
        if sealed_data {
            self.sealed(side, unit, context)
        } else {
            None
        }
    }

    /// The client's LOGIN7, in clear: whole, or what follows its sealed first packet.
    fn client_login(&mut self, unit: &Unit, context: &mut Context<'_>) -> Option<Verdict> {
        if self.sealed {
            self.auth.long_sealed_login();
            return None;
        }
        self.begin_login(unit.from, context);
        let message = self.assemble(Side::ToServer, unit)?;
        let otherwise = message.otherwise();
        let mut login = Login7::decode(&message.body).ok()?;
        let second = Login7::decode(&otherwise).ok()?;
        login.keep_common(&second);
        let sspi = login.sspi.clone().unwrap_or_default();
        let [token, other] =
            [&message.body, &otherwise].map(|body| body.get(sspi.clone()).unwrap_or_default());
        let token = Readings::new(token, other);
        self.auth.login_packet(&login, token, context.identity);
        self.version = Some(login.tds_version).filter(|version| *version == second.tds_version);
        let tds = context.facts.tds.get_or_insert_with(Tds::default);
        // Until the server says which one it is.
        tds.version = self.version.map(version_text);
        if tds.encryption.is_none() {
            tds.encryption = Some(Encryption::None);
        }
        describe_login(&login, context);
        None
    }

    /// The login packet starts: what was before it is over.
    pub(super) fn begin_login(&mut self, at: u64, context: &mut Context<'_>) {
        if matches!(self.stage, Stage::Login | Stage::Auth) {
            return;
        }
        self.end_tls(at, context);
        self.stage = Stage::Login;
    }

    pub(super) fn end_tls(&mut self, at: u64, context: &mut Context<'_>) {
        // Its last message may have been missed.
        let complete = self.tls_is_up();
        if let Some((last, _)) = self.tls_last {
            self.phases
                .end(PhaseName::Tls, last.min(at), complete, context.sent);
        }
    }

    /// Ends the phase of a TLS handshake that both sides have finished, where nothing followed it.
    pub(in crate::session) fn settle_tls(&mut self, sent: &[Counters; 2]) {
        if self.stage != Stage::Tls || !self.tls_is_up() {
            return;
        }
        if let Some((last, _)) = self.tls_last {
            self.phases.end(PhaseName::Tls, last, true, sent);
        }
    }

    pub(super) fn handshake_moved(&mut self, side: Side, at: u64, context: &mut Context<'_>) {
        let after_login =
            matches!(self.stage, Stage::Login | Stage::Auth) || self.phases.has(PhaseName::Tls);
        if !after_login {
            let ticket = self.strict && self.tls_is_up() && side == Side::ToClient;
            if !ticket {
                self.tls_last = Some((at, side));
            }
        }
        describe_tls(&self.tls, self.strict, context);
        if self.tls_is_up() {
            self.owed_since = None;
        }
    }

    pub(super) fn speaks_tls13(&self) -> bool {
        self.server_hello()
            .is_some_and(|hello| hello.version == 0x0304)
    }

    /// Whether both sides have finished the handshake.
    pub(super) fn tls_is_up(&self) -> bool {
        if self.speaks_tls13() {
            return self.dark.handshake_is_over();
        }
        let [client, server] = &self.tls;
        client.change_cipher_spec && client.finished && server.change_cipher_spec && server.finished
    }
}

/// Whether a packet's body is TLS records rather than PRELOGIN options.
pub(super) fn holds_tls(body: &[u8]) -> bool {
    matches!(body, [20..=23, 3, ..])
}
