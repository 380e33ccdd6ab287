//! TLS straight on TCP: whose it is, and what its sealed records mean.

use super::{Context, Login, Stage, Verdict};
use crate::{
    record::{ConnectionFacts, Encryption, Outcome, OutcomeKind, PhaseName, Stranger, Tds},
    session::{
        dark::{CONFIRMED, EARLIER, Meaning, Sealed},
        stream::Unit,
        timeline::Side,
    },
};

/// TDS 8.0's name where TLS's client offers protocols.
const ALPN_TDS_8: &str = "tds/8.0";

impl Login {
    /// TLS that comes first is TDS 8.0's where its client asks for that, and is read as such where a
    /// server answers one that names none; a client that offers other protocols only is somebody
    /// else's.
    pub(super) fn notice_whose_tls(&mut self, context: &mut Context<'_>) {
        if !self.strict || self.foreign {
            return;
        }
        let [client, server] = &self.tls;
        let offered = client.client_hello.as_ref().map(|hello| &hello.alpn[..]);
        let offered = offered.unwrap_or_default();
        let asked_for = offered.iter().any(|name| name == ALPN_TDS_8);
        if !offered.is_empty() && !asked_for {
            self.foreign_tls(context);
        } else if asked_for || server.server_hello.is_some() {
            let tds = context.facts.tds.get_or_insert_with(Tds::default);
            tds.encryption = Some(Encryption::Strict);
        }
    }

    /// Takes back that TLS that came first was TDS 8.0's, where its client named no protocol and no
    /// login was made out in it. Records that have not the sizes of a login are somebody else's.
    pub(in crate::session) fn disown_tls(&self, outcome: Outcome, facts: &mut ConnectionFacts) {
        if outcome.kind() == OutcomeKind::Answered || !self.is_unnamed() {
            return;
        }
        (facts.tds, facts.auth) = (None, None);
        if self.dark.is_foreign() {
            facts.login.stranger = Some(Stranger::Tls);
        }
    }

    /// Whether TLS came first, and its client named no protocol.
    pub(in crate::session) fn is_unnamed(&self) -> bool {
        let hello = self.tls[Side::ToServer as usize].client_hello.as_ref();
        self.strict && hello.is_none_or(|hello| hello.alpn.is_empty())
    }

    fn foreign_tls(&mut self, context: &mut Context<'_>) {
        self.foreign = true;
        context.facts.login.stranger = Some(Stranger::Tls);
        context.facts.tds = None;
    }

    /// A record whose content cannot be read.
    pub(super) fn sealed(
        &mut self,
        side: Side,
        unit: &Unit,
        context: &mut Context<'_>,
    ) -> Option<Verdict> {
        let tls13 = self.speaks_tls13();
        let federated = self.asked.as_ref().and_then(|asked| asked.fedauth_required) == Some(true)
            && self
                .answered
                .as_ref()
                .and_then(|answered| answered.fedauth_required)
                == Some(true);
        self.dark.expect(tls13, self.strict, federated);
        if self.is_unnamed() {
            self.dark.expect_anybody();
        }
        let meaning = match side {
            Side::ToServer => self.dark.client(unit.from, unit.to, unit.body_len()),
            Side::ToClient => self.dark.server(unit.to, unit.body_len()),
        };
        match meaning {
            Meaning::Handshake => self.handshake_moved(side, unit.to, context),
            _ if self.foreign => {}
            Meaning::Prelogin => {
                self.end_tls(unit.from, context);
                self.stage = Stage::Prelogin;
            }
            Meaning::Login { prelogin_end } => {
                if let Some(end) = prelogin_end {
                    self.phases
                        .end(PhaseName::Prelogin, end, true, context.sent);
                }
                self.sealed = true;
                self.begin_login(unit.from, context);
            }
            Meaning::Token { reply_end } => {
                self.phases
                    .end(PhaseName::Login, reply_end, true, context.sent);
                self.stage = Stage::Auth;
                if self.is_whole() {
                    self.auth.sealed_token(unit.from.saturating_sub(reply_end));
                }
            }
            Meaning::Exchange { reply_end } => {
                self.phases
                    .end(PhaseName::Login, reply_end, true, context.sent);
                self.stage = Stage::Auth;
                self.note_full(context);
            }
            Meaning::Request {
                reply_end,
                earlier,
                rounds,
            } => {
                self.note_full(context);
                // Of turns that were not all seen, none can be told from another.
                if !self.phases.start_was_seen() && self.tls[0].client_hello.is_none() {
                    return Some(self.request(unit.from));
                }
                if self.is_whole() {
                    self.auth.sealed_rounds(rounds);
                }
                let request = Sealed {
                    side: Side::ToServer,
                    from: unit.from,
                    to: unit.to,
                    len: unit.body_len(),
                };
                let mut requests = [None; EARLIER + 1];
                requests[..EARLIER].copy_from_slice(&earlier);
                requests[EARLIER] = Some(request);
                return Some(Verdict {
                    requests,
                    ..Verdict::inferred(Outcome::Success, CONFIRMED, reply_end)
                });
            }
            Meaning::Ticket { owed_since } => self.owed_since = Some(owed_since),
            Meaning::Bye => self.client_said_bye = true,
            Meaning::Continuation if side == Side::ToClient && self.sealed => {
                self.note_full(context);
            }
            Meaning::Continuation => {}
        }
        None
    }

    /// Sealed replies: the encryption is full, whatever was said before.
    fn note_full(&mut self, context: &mut Context<'_>) {
        // Without what came before, it may be TDS 8.0 as well.
        let known = self.asked.is_some() || self.answered.is_some();
        let tds = context.facts.tds.get_or_insert_with(Tds::default);
        if self.strict {
            tds.encryption = Some(Encryption::Strict);
        } else if known {
            tds.encryption = Some(Encryption::Full);
        }
    }
}
