//! The server's answers: to PRELOGIN, to the login, and to every round of authentication.

use tracer_ebpf::framing::packet_type;

use super::super::{
    Context, Decision, Dialogue, Message, Stage, next_after, tls::holds_tls, write_down,
};
use super::auth::Readings;
use crate::{
    record::{Encryption, Login as LoginRecord, Outcome, PhaseName, SqlError},
    session::{input::Side, stream::Unit},
    tds::{
        fedauth::FedAuthInfo,
        token::{self, EnvChange, LoginAck, Routing, SSPI, Token, Tokens},
    },
};

/// What one reply said, in the order of weight.
#[derive(Debug, Default)]
struct Found {
    routing: Option<Routing>,
    ack: Option<LoginAck>,
    errors: Vec<SqlError>,
    federated: Option<FedAuthInfo>,
    sspi: bool,
    /// Its last DONE was read: there is no more of it.
    ended: bool,
}

impl Dialogue {
    pub(in crate::session::dialogue) fn server_packet(
        &mut self,
        unit: &Unit,
        context: &mut Context<'_>,
    ) -> Option<Decision> {
        let side = Side::ToClient;
        let tls = holds_tls(&unit.body) && matches!(self.stage, Stage::Prelogin | Stage::Tls);
        if tls || self.tls_continues(unit) {
            return self.wrapped_tls(side, unit, context);
        }
        self.leave_tls(context);
        write_down(context.ledger, side, unit, next_after(side, unit));
        let message = self.assemble(side, unit)?;
        let expects_prelogin = matches!(self.stage, Stage::Opening | Stage::Prelogin);
        if expects_prelogin && self.server_prelogin(message.seen(), unit.to, context) {
            return None;
        }
        let is_read = !message.seen().is_empty();
        let decision = self.reply(&message, unit.to, context);
        // What answers a PRELOGIN and is neither that nor a token of a reply is no TDS.
        let says_nothing =
            self.contents.reply.spid.is_none() && self.contents.reply.errors.is_empty();
        self.server_is_foreign |= expects_prelogin && is_read && says_nothing && decision.is_none();
        decision
    }

    /// A TLS flight longer than one packet goes on in the next.
    fn tls_continues(&self, unit: &Unit) -> bool {
        self.stage == Stage::Tls
            && self.contents.tls[Side::ToClient as usize].is_inside_record()
            && matches!(
                unit.header.kind,
                packet_type::PRELOGIN | packet_type::TABULAR_RESULT
            )
    }

    /// What came of a reply that never ended, when the connection does.
    pub(in crate::session) fn cut_reply(
        &mut self,
        at: u64,
        context: &mut Context<'_>,
    ) -> Option<Decision> {
        let message = self.unfinished(Side::ToClient)?;
        matches!(self.stage, Stage::Login | Stage::Auth)
            .then(|| self.reply(&message, at, context))
            .flatten()
    }

    fn reply(&mut self, message: &Message, at: u64, context: &mut Context<'_>) -> Option<Decision> {
        let found = self.tokens(message, context);
        let answers = found.ack.is_some() || found.sspi || found.routing.is_some();
        let speaks = answers || !found.errors.is_empty();
        let reply = &mut self.contents.reply;
        reply.was_seen = found.ended || message.unseen.is_empty();
        if message.spid != 0 {
            reply.spid.get_or_insert(message.spid);
        }
        if self.login_was_sealed && speaks && self.contents.encryption != Some(Encryption::Strict) {
            self.contents.encryption = Some(Encryption::LoginOnly);
        }
        self.contents.saw_login_message |= answers || found.federated.is_some();
        let mut outcome = self.outcome_of(&found);
        if outcome.is_some() || self.contents.saw_login_message {
            self.contents.reply.errors.clone_from(&found.errors);
        }
        // In what was not seen the client may have been sent on to another server.
        if outcome == Some(Outcome::Success) && !found.ended && !message.unseen.is_empty() {
            self.acknowledged = Some(at);
            outcome = None;
        }
        let decided = outcome.is_some();
        let says_nothing = !speaks && found.federated.is_none();
        if says_nothing && !message.unseen.is_empty() {
            self.unread_reply = Some(at);
        }
        if decided || found.sspi || found.federated.is_some() {
            self.answered_login(at, decided, context);
        }
        // A token that comes with the acknowledgement or an error asks for nothing.
        if (found.sspi || found.federated.is_some()) && found.ack.is_none() && !decided {
            self.contents.auth.asked_for_more();
        }
        if let Some(info) = &found.federated {
            self.contents.auth.federated_info(info, at);
        }
        if decided {
            self.contents.auth.answered(at);
        }
        if found.ack.is_some() {
            self.contents.reply.ack = found.ack;
        }
        outcome.map(|outcome| Decision::observed(outcome, at))
    }

    /// A reply to the login ends its phase; the one that decides after that ends authentication.
    fn answered_login(&mut self, at: u64, decided: bool, context: &mut Context<'_>) {
        match self.stage {
            Stage::Auth if decided => context.ledger.end(PhaseName::Auth, at, true),
            Stage::Auth => {}
            _ => {
                context.ledger.end(PhaseName::Login, at, true);
                self.stage = Stage::Auth;
                // Where the login was not seen, this may not be the first answer to it.
                let known = self.from_start || context.ledger.has_begun(PhaseName::Login);
                if !decided && known {
                    context.ledger.begin(PhaseName::Auth, at);
                }
            }
        }
    }

    fn outcome_of(&mut self, found: &Found) -> Option<Outcome> {
        // Some gateways send a client elsewhere without letting it in first.
        if let Some(routing) = &found.routing {
            self.contents.reply.routing = Some(routing.clone());
            return Some(Outcome::Redirected);
        }
        if found.ack.is_some() {
            return Some(Outcome::Success);
        }
        // Of a connection joined late it may be the answer to a request.
        let asked = self.from_start || self.contents.saw_login_message;
        (asked && !found.errors.is_empty()).then_some(Outcome::Failed)
    }

    /// Reads the tokens that say the same whatever stood where bytes were not seen.
    fn tokens(&mut self, message: &Message, context: &Context<'_>) -> Found {
        let mut found = Found::default();
        let version = self.contents.version;
        let otherwise = (!message.unseen.is_empty()).then(|| message.otherwise());
        let mut others = otherwise.as_deref().map(|body| Tokens::new(body, version));
        for token in Tokens::new(&message.body, version) {
            let sure = others
                .as_mut()
                .is_none_or(|others| others.next().as_ref() == Some(&token));
            match token {
                // Its length was not seen: its kind is enough.
                Token::Sspi(_) | Token::Incomplete(SSPI) if !sure && !found.sspi => {
                    found.sspi = true;
                    self.server_token(Readings::default(), context);
                    break;
                }
                _ if !sure => break,
                Token::Sspi(range) => {
                    found.sspi = true;
                    let other = otherwise.as_ref().unwrap_or(&message.body);
                    let [token, other] = [&message.body, other]
                        .map(|body| body.get(range.clone()).unwrap_or_default());
                    self.server_token(Readings::new(token, other), context);
                }
                // What follows the end of a segment that cut it is withheld: its kind is enough.
                Token::Incomplete(SSPI) if !found.sspi => {
                    found.sspi = true;
                    self.server_token(Readings::default(), context);
                }
                token => self.plain_token(token, &mut found),
            }
        }
        found
    }

    fn server_token(&mut self, token: Readings<'_>, context: &Context<'_>) {
        self.contents.auth.server_token(token, context.identity);
    }

    /// A token that holds no secret.
    fn plain_token(&mut self, token: Token, found: &mut Found) {
        let reply = &mut self.contents.reply;
        match token {
            Token::LoginAck(ack) if self.from_start || ack.tds_version.name().is_some() => {
                found.ack = Some(ack);
            }
            Token::Error(message) if found.errors.len() <= LoginRecord::MAX_FURTHER_ERRORS => {
                found.errors.push(error(message));
            }
            Token::EnvChange(change) => match change {
                EnvChange::Routing(to) | EnvChange::EnhancedRouting(to) => {
                    found.routing = Some(to);
                }
                EnvChange::Database(name) if !name.is_empty() => reply.database = Some(name),
                EnvChange::Language(name) if !name.is_empty() => reply.language = Some(name),
                EnvChange::PacketSize(size) => reply.packet_size = Some(size),
                EnvChange::MirrorPartner(name) if !name.is_empty() => {
                    reply.mirror_partner = Some(name);
                }
                EnvChange::Collation(to) => reply.collation = to,
                _ => {}
            },
            Token::SessionState(recoverable) => reply.session_recoverable = recoverable,
            Token::Done(done) if !done.status.more() => found.ended = true,
            Token::FedAuthInfo(info) => found.federated = Some(info),
            Token::FeatureExtAck(ids) => {
                self.contents.auth.features_acknowledged(&ids);
                reply.features = ids;
            }
            _ => {}
        }
    }
}

fn error(message: token::Message) -> SqlError {
    SqlError {
        number: message.number,
        state: message.state,
        class: message.class,
    }
}
