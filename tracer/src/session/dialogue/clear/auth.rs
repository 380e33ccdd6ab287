//! How the client proves who it is: what LOGIN7, SSPI tokens and feature acknowledgements show.

use crate::{
    record::{
        Auth, AuthKind, Encryption, Entra, Nanos, Ntlm as NtlmFacts, Outcome, OutcomeKind, Text,
        identity::Policy,
    },
    tds::{
        fedauth::FedAuthInfo,
        login7::Login7,
        ntlm::{Ntlm, NtlmVersion, SIGNATURE},
        spnego::{Form, Mechanism, Spnego},
    },
};

/// The feature id of federated authentication (MS-TDS §2.2.6.4).
const FEATURE_FEDAUTH: u8 = 0x02;

/// A token read twice: as it came, and with other bytes in place of those that were withheld or
/// lost. Only what both readings say is known.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::session) struct Readings<'a> {
    body: &'a [u8],
    otherwise: &'a [u8],
}

impl<'a> Readings<'a> {
    pub(in crate::session) fn new(body: &'a [u8], otherwise: &'a [u8]) -> Self {
        Self { body, otherwise }
    }

    /// What both say of the mechanism; where they differ, what stands before the difference says.
    fn spnego(self) -> Option<Spnego> {
        let read = Spnego::decode(self.body).ok()?;
        if Spnego::decode(self.otherwise).is_ok_and(|other| other == read) {
            return Some(read);
        }
        let pairs = self.body.iter().zip(self.otherwise);
        let same = pairs.take_while(|(one, other)| one == other).count();
        Spnego::decode(&self.body[..same]).ok()
    }

    /// The NTLM message in both, perhaps behind SPNEGO's wrapping.
    fn ntlm(self) -> Option<Ntlm> {
        const MAX_WRAPPING: usize = 64;
        let mut starts = self.body.windows(SIGNATURE.len()).take(MAX_WRAPPING);
        let at = starts.position(|window| window == SIGNATURE)?;
        let [read, other] = [self.body, self.otherwise].map(|token| {
            let message = token.get(at..)?;
            Ntlm::decode(message).ok()
        });
        read?.common(&other?)
    }
}

/// What the order of sealed records shows of the authentication.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::session) struct SealedAuth {
    /// The login, or its first packet, was sealed.
    pub(in crate::session) login: bool,
    /// Challenges that were answered.
    pub(in crate::session) rounds: u32,
    /// How long the client took over a federated token, nanoseconds.
    pub(in crate::session) token_fetch: Option<u64>,
}

/// What was seen of the authentication.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(in crate::session) struct AuthEvidence {
    /// LOGIN7 was read.
    login_read: bool,
    integrated: bool,
    federated: bool,
    /// LOGIN7 was sealed, and went on beyond its first packet: it carries a token.
    long_sealed: bool,
    offered: Vec<AuthKind>,
    /// The mechanism of the token that the client offered along, else the first that it offered.
    preferred: Option<AuthKind>,
    /// What a message was of, or what the server chose.
    seen: Option<AuthKind>,
    /// Replies of the server after which it was the client's turn again.
    rounds: u32,
    ntlm: Option<NtlmFacts>,
    /// The server has answered NTLM's first message: the client's next one is its response.
    challenged: bool,
    entra: Entra,
    /// Both sides sent a nonce in PRELOGIN, which means something in federated logins only.
    nonce: bool,
    /// When the client's NTLM response had passed.
    responded: Option<u64>,
    controller: Option<u64>,
    /// When FEDAUTHINFO had passed.
    informed: Option<u64>,
}

impl AuthEvidence {
    /// LOGIN7 in clear, with its SSPI token.
    pub(in crate::session) fn login_packet(
        &mut self,
        login: &Login7,
        token: Readings<'_>,
        identity: &Policy,
    ) {
        self.login_read = true;
        self.integrated = login.integrated_security || login.sspi_len > 0;
        self.federated = login.fedauth.is_some();
        self.token(token, identity);
    }

    /// Whether LOGIN7 was read.
    pub(in crate::session) fn login_was_read(&self) -> bool {
        self.login_read
    }

    /// LOGIN7's first packet was sealed and others followed in clear.
    pub(in crate::session) fn long_sealed_login(&mut self) {
        self.long_sealed = true;
    }

    /// A client's SSPI message, which had passed whole at `at`.
    pub(in crate::session) fn client_token(
        &mut self,
        token: Readings<'_>,
        at: u64,
        identity: &Policy,
    ) {
        // After a challenge it is the response, also where its bytes are withheld.
        if self.token(token, identity) || self.challenged {
            self.responded = Some(at);
        }
    }

    /// A server's SSPI token.
    pub(in crate::session) fn server_token(&mut self, token: Readings<'_>, identity: &Policy) {
        self.token(token, identity);
        self.seen.get_or_insert(AuthKind::Spnego);
        self.challenged |= self.ntlm.is_some();
    }

    /// The server's reply was not its last word.
    pub(in crate::session) fn asked_for_more(&mut self) {
        self.rounds += 1;
    }

    /// Both sides sent a nonce.
    pub(in crate::session) fn nonce_exchanged(&mut self) {
        self.nonce = true;
    }

    /// The server decided: with NTLM, its domain controller has answered by then.
    pub(in crate::session) fn answered(&mut self, at: u64) {
        self.controller = self.responded.map(|since| at.saturating_sub(since));
    }

    /// FEDAUTHINFO: the client has to fetch a token.
    pub(in crate::session) fn federated_info(&mut self, info: &FedAuthInfo, at: u64) {
        self.federated = true;
        self.entra.sts_host = info.sts_host.as_deref().map(Text::from);
        self.entra.spn = info.spn.as_deref().map(Text::from);
        self.informed = Some(at);
    }

    /// The client's federated token had passed at `at`.
    pub(in crate::session) fn federated_token(&mut self, at: u64) {
        self.federated = true;
        self.entra.token_fetch_ns = self.informed.map(|since| Nanos(at.saturating_sub(since)));
    }

    /// FEATUREEXTACK: the server took the federated token.
    pub(in crate::session) fn features_acknowledged(&mut self, ids: &[u8]) {
        self.federated |= ids.contains(&FEATURE_FEDAUTH);
    }

    /// Reads one token's mechanism and names; whether it is an NTLM response.
    fn token(&mut self, token: Readings<'_>, identity: &Policy) -> bool {
        let Some(spnego) = token.spnego() else {
            return false;
        };
        for mechanism in &spnego.offered {
            let kind = kind(*mechanism);
            if !self.offered.contains(&kind) {
                self.offered.push(kind);
            }
        }
        if spnego.form == Form::NegTokenInit {
            let mechanisms = spnego.chosen.iter().chain(&spnego.offered);
            let mut known = mechanisms.map(|mechanism| kind(*mechanism));
            self.preferred = known.find(|kind| *kind != AuthKind::Unknown);
        } else if let Some(mechanism) = spnego.chosen {
            self.saw(kind(mechanism));
        }
        token
            .ntlm()
            .is_some_and(|message| self.ntlm(message, identity))
    }

    fn saw(&mut self, kind: AuthKind) {
        // What is in use outweighs what was preferred.
        if kind != AuthKind::Unknown {
            self.seen = Some(kind);
        }
    }

    fn ntlm(&mut self, message: Ntlm, identity: &Policy) -> bool {
        self.seen = Some(AuthKind::Ntlm);
        let facts = self.ntlm.get_or_insert_with(NtlmFacts::default);
        let name = |value: Option<String>| value.and_then(|value| identity.apply(&value));
        match message {
            Ntlm::Negotiate { .. } => false,
            Ntlm::Challenge { target, names } => {
                facts.target_domain = name(names.dns_domain.or(names.nb_domain).or(target));
                facts.target_computer = name(names.dns_computer.or(names.nb_computer));
                false
            }
            Ntlm::Authenticate(message) => {
                facts.version = message.version.map(|version| match version {
                    NtlmVersion::V1 => 1,
                    NtlmVersion::V2 => 2,
                });
                facts.null_credentials = message.null_credentials;
                facts.domain = name(message.domain);
                facts.user = name(message.user);
                facts.workstation = name(message.workstation);
                true
            }
        }
    }

    /// What is to be said of it, given how much was encrypted, what came of the login, and whether
    /// all of it was seen.
    pub(in crate::session) fn facts(
        &self,
        encryption: Option<Encryption>,
        outcome: Outcome,
        sealed: &SealedAuth,
        whole: bool,
    ) -> Option<Auth> {
        let by_order = sealed;
        let sealed = by_order.login;
        if !self.login_read && !sealed {
            return None;
        }
        let kind = self.kind(encryption, outcome, sealed, whole);
        let mut entra = self.entra.clone();
        entra.nonce = (kind == AuthKind::Entra && self.nonce).then_some(true);
        let fetch = by_order.token_fetch.filter(|_| whole).map(Nanos);
        entra.token_fetch_ns = entra.token_fetch_ns.or(fetch);
        let rounds = self.rounds + by_order.rounds;
        let counted = rounds > 0 && whole && outcome != Outcome::Unknown;
        Some(Auth {
            kind,
            rounds: counted.then_some(rounds),
            mechanisms: self.offered.clone(),
            fallback_from: self.fallback(kind),
            controller_ns: self.controller.map(Nanos),
            ntlm: self.ntlm.clone().filter(|_| kind == AuthKind::Ntlm),
            entra: Some(entra).filter(|entra| *entra != Entra::default()),
        })
    }

    /// What was tried before NTLM, where that was used in the end: the first mechanism known here.
    /// Windows lists `NegoEx` before Kerberos.
    fn fallback(&self, kind: AuthKind) -> Option<AuthKind> {
        let before = self.offered.iter().copied();
        before
            .take_while(|offered| *offered != AuthKind::Ntlm)
            .find(|offered| *offered != AuthKind::Unknown)
            .filter(|_| kind == AuthKind::Ntlm)
    }

    fn kind(
        &self,
        encryption: Option<Encryption>,
        outcome: Outcome,
        sealed: bool,
        whole: bool,
    ) -> AuthKind {
        if self.federated {
            return AuthKind::Entra;
        }
        if let Some(seen) = self.seen {
            return seen;
        }
        if let Some(preferred) = self.preferred {
            // The server may yet choose another, or has, where not all was seen.
            let answered = outcome.kind() == OutcomeKind::Answered;
            return if self.offered.len() == 1 || answered && whole {
                preferred
            } else {
                AuthKind::Spnego
            };
        }
        if self.integrated {
            return AuthKind::Spnego;
        }
        if !sealed {
            // Without flags that say otherwise; where they were lost, who knows.
            let shown = self.login_read || whole;
            return if shown {
                AuthKind::Sql
            } else {
                AuthKind::Unknown
            };
        }
        // Sealed, but answered in clear: an SSPI login would have had a token in an answer.
        let answered_in_clear = encryption == Some(Encryption::LoginOnly) && outcome.is_good();
        if answered_in_clear && whole && !self.long_sealed {
            AuthKind::Sql
        } else {
            AuthKind::Unknown
        }
    }
}

fn kind(mechanism: Mechanism) -> AuthKind {
    match mechanism {
        Mechanism::Kerberos | Mechanism::MsKerberos => AuthKind::Kerberos,
        Mechanism::Ntlm => AuthKind::Ntlm,
        Mechanism::Other => AuthKind::Unknown,
    }
}

#[cfg(test)]
mod tests;
