//! The server's answers: to PRELOGIN, to the login, and to every round of authentication.

use tracer_ebpf::framing::packet_type;

use super::{
    Context, Login, Message, Stage, Verdict,
    auth::Readings,
    describe::{feature_name, program_version, version_text},
    messages::holds_tls,
};
use crate::{
    record::{
        Collation, ConnectionFacts, Encryption, Outcome, PhaseName, Redirect, SqlError, Tds, Text,
    },
    session::{stream::Unit, timeline::Side},
    tds::{
        fedauth::FedAuthInfo,
        token::{self, EnvChange, LoginAck, Routing, SSPI, Token, Tokens},
    },
};

/// What a reply said, in the order of weight.
#[derive(Debug, Default)]
struct Reply {
    routing: Option<Routing>,
    ack: Option<LoginAck>,
    errors: Vec<SqlError>,
    federated: Option<FedAuthInfo>,
    sspi: bool,
    /// Its last DONE was read: there is no more of it.
    ended: bool,
}

impl Login {
    pub(super) fn server_packet(
        &mut self,
        unit: &Unit,
        context: &mut Context<'_>,
    ) -> Option<Verdict> {
        let tls = holds_tls(&unit.body) && matches!(self.stage, Stage::Prelogin | Stage::Tls);
        if tls || self.tls_continues(unit) {
            return self.wrapped_tls(Side::ToClient, unit, context);
        }
        let message = self.assemble(Side::ToClient, unit)?;
        let expects_prelogin = matches!(self.stage, Stage::Opening | Stage::Prelogin);
        if expects_prelogin && self.server_prelogin(message.seen(), unit.to, context) {
            return None;
        }
        self.reply(&message, unit.to, context)
    }

    /// A TLS flight longer than one packet goes on in the next.
    fn tls_continues(&self, unit: &Unit) -> bool {
        self.stage == Stage::Tls
            && !self.sealed
            && self.tls[Side::ToClient as usize].records > 0
            && matches!(
                unit.header.kind,
                packet_type::PRELOGIN | packet_type::TABULAR_RESULT
            )
            && !self.tls_is_up()
    }

    /// What came of a reply that never ended, when the connection does.
    pub(in crate::session) fn cut_reply(
        &mut self,
        at: u64,
        context: &mut Context<'_>,
    ) -> Option<Verdict> {
        let message = self.unfinished(Side::ToClient)?;
        matches!(self.stage, Stage::Login | Stage::Auth)
            .then(|| self.reply(&message, at, context))
            .flatten()
    }

    /// Takes back what the client asked for and the server decides, where not all of its answer was
    /// seen.
    pub(in crate::session) fn doubt_wishes(&self, answered: bool, facts: &mut ConnectionFacts) {
        let is_unheard = self.streams[Side::ToClient as usize].is_incomplete();
        if self.sealed || !is_unheard && (!answered || self.reply_was_seen) {
            return;
        }
        facts.login.language = None;
        if let Some(tds) = &mut facts.tds {
            tds.version.take_if(|_| !self.acked);
            tds.packet_size = None;
        }
    }

    fn reply(&mut self, message: &Message, at: u64, context: &mut Context<'_>) -> Option<Verdict> {
        let reply = self.tokens(message, context);
        self.reply_was_seen = reply.ended || message.unseen.is_empty();
        self.acked |= reply.ack.is_some();
        let tds = context.facts.tds.get_or_insert_with(Tds::default);
        if message.spid != 0 {
            tds.spid.get_or_insert(message.spid);
        }
        let answers = reply.ack.is_some() || !reply.errors.is_empty() || reply.sspi;
        if self.sealed && answers && tds.encryption != Some(Encryption::Strict) {
            tds.encryption = Some(Encryption::LoginOnly);
        }
        if let Some(ack) = &reply.ack {
            tds.version = Some(version_text(ack.tds_version));
            if tds.server_version.is_none() {
                tds.server_version = ack.version.map(program_version);
            }
            // SQL Server pads the name with zeros.
            tds.server_program = Some(ack.program_name.trim_end_matches('\0'))
                .filter(|name| !name.is_empty())
                .map(Text::from);
        }
        context.facts.login.error = reply.errors.first().copied();
        context.facts.login.further_errors = reply.errors.iter().skip(1).copied().collect();
        let mut outcome = Self::outcome_of(&reply, context);
        // In what was not seen the client may have been sent on to another server.
        if outcome == Some(Outcome::Success) && !reply.ended && !message.unseen.is_empty() {
            self.acknowledged = Some(at);
            outcome = None;
        }
        let decided = outcome.is_some();
        let silent = !answers && reply.federated.is_none();
        if silent && !message.unseen.is_empty() {
            self.unread = Some(at);
        }
        if decided || reply.sspi || reply.federated.is_some() {
            self.answered_login(at, decided, context);
        }
        // A token that comes with the acknowledgement or an error asks for nothing.
        if (reply.sspi || reply.federated.is_some()) && reply.ack.is_none() && !decided {
            self.auth.asked_for_more();
        }
        if let Some(info) = &reply.federated {
            self.auth.federated_info(info, at);
        }
        if decided {
            self.auth.answered(at);
        }
        outcome.map(|outcome| Verdict::observed(outcome, at))
    }

    /// A reply to the login ends its phase; the one that decides after that ends authentication.
    fn answered_login(&mut self, at: u64, decided: bool, context: &mut Context<'_>) {
        match self.stage {
            Stage::Auth if decided => self.phases.end(PhaseName::Auth, at, true, context.sent),
            Stage::Auth => {}
            _ => {
                self.phases.end(PhaseName::Login, at, true, context.sent);
                self.stage = Stage::Auth;
            }
        }
    }

    fn outcome_of(reply: &Reply, context: &mut Context<'_>) -> Option<Outcome> {
        if let Some(routing) = reply.routing.as_ref().filter(|_| reply.ack.is_some()) {
            context.facts.login.redirect = Some(Redirect {
                address: Text::from(routing.host.as_str()),
                port: routing.port,
                database: routing.database.as_deref().map(Text::from),
            });
            return Some(Outcome::Redirected);
        }
        if reply.ack.is_some() {
            return Some(Outcome::Success);
        }
        (!reply.errors.is_empty()).then_some(Outcome::Failed)
    }

    /// Reads the tokens that say the same whatever stood where bytes were not seen.
    fn tokens(&mut self, message: &Message, context: &mut Context<'_>) -> Reply {
        let mut reply = Reply::default();
        let tds = context.facts.tds.get_or_insert_with(Tds::default);
        let otherwise = (!message.unseen.is_empty()).then(|| message.otherwise());
        let mut others = otherwise
            .as_deref()
            .map(|body| Tokens::new(body, self.version));
        for token in Tokens::new(&message.body, self.version) {
            let sure = others
                .as_mut()
                .is_none_or(|others| others.next().as_ref() == Some(&token));
            match token {
                // Its length was not seen: its kind is enough.
                Token::Sspi(_) | Token::Incomplete(SSPI) if !sure && !reply.sspi => {
                    reply.sspi = true;
                    self.auth
                        .server_token(Readings::default(), context.identity);
                    break;
                }
                _ if !sure => break,
                Token::LoginAck(ack) => reply.ack = Some(ack),
                Token::Error(message)
                    if reply.errors.len() <= crate::record::Login::MAX_FURTHER_ERRORS =>
                {
                    reply.errors.push(error(message));
                }
                Token::EnvChange(EnvChange::Routing(to) | EnvChange::EnhancedRouting(to)) => {
                    reply.routing = Some(to);
                }
                Token::EnvChange(EnvChange::Database(name)) if !name.is_empty() => {
                    context.facts.login.database = Some(Text::from(name.as_str()));
                }
                Token::EnvChange(EnvChange::Language(name)) if !name.is_empty() => {
                    context.facts.login.language = Some(Text::from(name.as_str()));
                }
                Token::EnvChange(EnvChange::PacketSize(size)) => tds.packet_size = Some(size),
                Token::EnvChange(EnvChange::MirrorPartner(name)) if !name.is_empty() => {
                    tds.mirror_partner = Some(Text::from(name.as_str()));
                }
                Token::EnvChange(EnvChange::Collation(to)) => {
                    tds.collation = to.map(|to| Collation {
                        lcid: to.lcid,
                        sort_id: to.sort_id,
                    });
                }
                Token::SessionState(recoverable) => tds.session_recoverable = recoverable,
                Token::Sspi(range) => {
                    reply.sspi = true;
                    let other = otherwise.as_ref().unwrap_or(&message.body);
                    let [token, other] = [&message.body, other]
                        .map(|body| body.get(range.clone()).unwrap_or_default());
                    self.auth
                        .server_token(Readings::new(token, other), context.identity);
                }
                // What follows the end of a segment that cut it is withheld: its kind is enough.
                Token::Incomplete(SSPI) if !reply.sspi => {
                    reply.sspi = true;
                    self.auth
                        .server_token(Readings::default(), context.identity);
                }
                Token::Done(done) if !done.status.more() => reply.ended = true,
                Token::FedAuthInfo(info) => reply.federated = Some(info),
                Token::FeatureExtAck(ids) => {
                    self.auth.features_acknowledged(&ids);
                    tds.features_acknowledged = ids.iter().map(|id| feature_name(*id)).collect();
                }
                _ => {}
            }
        }
        reply
    }
}

fn error(message: token::Message) -> SqlError {
    SqlError {
        number: message.number,
        state: message.state,
        class: message.class,
    }
}
