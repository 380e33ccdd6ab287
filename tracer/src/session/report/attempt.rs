//! `attempt`, and how a connection's lines name theirs.

use std::net::IpAddr;

use sha1::{Digest, Sha1};

use super::Report;
use crate::{
    record::{
        Attempt as Told, AttemptClient, AttemptId, AttemptRecord, AttemptRef, Body,
        ConnectionFacts, Diagnosis, Nanos, Outcome, Part, PartKind, Recovered, Stranger, Target,
        Text,
    },
    session::{
        attempts::{Attempt, Done, Handle, Returns, Role, Verdict, Why, of_process},
        diagnosis::{Step, Whole, ranked_of},
        input::Side,
        wire::{End, Wire},
    },
    tds::prelogin::Guid,
};

/// What is known of a login that is decided, beside its facts.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct Joining {
    /// When it was.
    pub(in crate::session) at: u64,
    /// How the client has named the connection.
    pub(in crate::session) guid: Option<Guid>,
    /// It recovers the session of a connection that is gone.
    pub(in crate::session) recovers: bool,
    /// Where the client went when it had left: the reply that sent it there could not be read.
    pub(in crate::session) went_to: Option<End>,
    /// The client's process, if it is known.
    pub(in crate::session) pid: Option<u32>,
    /// The client had to speak as the connection began to end.
    pub(in crate::session) on_its_turn: bool,
}

impl Report<'_> {
    /// Names the attempt that a connection is part of, whose login was decided so.
    pub(in crate::session) fn joins(
        &mut self,
        handle: Handle,
        wire: &Wire,
        joining: Joining,
        facts: &mut ConnectionFacts,
    ) {
        if !self.shared.config.attempts {
            return;
        }
        let Joining {
            at,
            guid,
            recovers,
            went_to,
            pid,
            on_its_turn,
        } = joining;
        if wire.untimed {
            self.shared.attempts.forget(handle, at);
            return;
        }
        let mut verdict = Verdict {
            recovers,
            guid,
            pid,
            ..verdict(wire, at, facts)
        };
        if on_its_turn && verdict.outcome == Outcome::Aborted {
            // It was answered, and wanted no more.
            verdict.returns = Returns::Never;
        }
        if let Some(to) = verdict.redirect {
            self.redirected(verdict.client, to);
        }
        let went_to = went_to.map(|end| (Some(end.address), end.port));
        verdict.redirect = verdict.redirect.or(went_to);
        let named = self.shared.attempts.decided(handle, &verdict);
        facts.attempt = Some(AttemptRef {
            id: named.id,
            number: named.number,
        });
        if named.loser {
            facts.login.loser = Some(true);
            facts.login.stranger = None;
        }
    }

    /// Tells the attempts that are over.
    pub(in crate::session) fn attempts(&mut self) {
        for mut attempt in self.shared.attempts.take_over() {
            let at = attempt.end();
            let beside = self.shared.services.claim(&attempt.handles(), at);
            attempt.parts.extend(beside);
            self.waits(&mut attempt);
            self.attempt(&attempt);
        }
    }

    /// Asks the host whether the client could go on between two parts.
    fn waits(&mut self, attempt: &mut Attempt) {
        let Some(pid) = attempt.pid else { return };
        for gap in attempt.gaps() {
            let facts = self.listener.process(pid, gap);
            attempt.parts.extend(of_process(&facts, gap));
        }
    }

    fn attempt(&mut self, attempt: &Attempt) {
        let (start, end) = (attempt.start(), attempt.end());
        let mut parts: Vec<_> = attempt.parts.iter().collect();
        parts.sort_by_key(|part| (part.start, part.end));
        let unexplained = unexplained(&parts);
        let diagnosis = self.why(attempt, &parts, unexplained);
        let told = Told {
            id: attempt
                .id
                .unwrap_or_else(|| unnamed(attempt.client, &parts)),
            start: self.shared.config.wall(start),
            duration_ns: Nanos(end.saturating_sub(start)),
            outcome: attempt.outcome(),
            target: attempt.target.clone(),
            connections: attempt.connections,
            recovers: attempt.recovers.map(|gone| Recovered {
                connection_id: gone.id,
                idle_ns: Nanos(gone.idle),
            }),
            incident: attempt.incident,
            unexplained_ns: Nanos(unexplained),
            parts: parts
                .iter()
                .map(|part| self.described(part, start))
                .collect(),
            diagnosis,
        };
        let address = attempt.client;
        let body = Body::Attempt(AttemptRecord {
            client: AttemptClient {
                address: Some(address),
            },
            process: None,
            attempt: told,
        });
        self.tell(end.max(attempt.until), body);
    }
}

impl Report<'_> {
    /// Why an attempt failed or took long.
    fn why(&self, attempt: &Attempt, parts: &[&Done], unexplained: u64) -> Vec<Diagnosis> {
        let decisive = attempt.decisive();
        let steps = parts.iter().map(|part| Step {
            kind: part.kind,
            start: part.start,
            took: part.end.saturating_sub(part.start),
            outcome: part.outcome,
            server: part.server.map(|end| (end.address, end.port)),
            heard: part.heard,
            loser: part.loser,
            role: part.role,
            decisive: decisive.is_some_and(|decisive| std::ptr::eq(decisive, *part)),
            causes: &part.causes,
            name: part.name.as_ref().map(Text::as_str),
            record_type: part.asked.map(|asked| asked.record_type),
            requests: part.asked.map_or(0, |asked| asked.requests),
            done: Some(*part),
        });
        let (start, end) = (attempt.start(), attempt.end());
        ranked_of(&Whole {
            outcome: attempt.outcome(),
            duration: end.saturating_sub(start),
            unexplained,
            steps: steps.collect(),
            slow: self.shared.config.slow,
        })
    }

    fn described(&self, part: &Done, start: u64) -> Part {
        let service = part.service.as_deref();
        let refusal = service.and_then(|service| service.refusal.as_ref());
        // Of Kerberos it is a name of somebody in the domain.
        let identity = &self.shared.config.identity;
        let name = refusal.and_then(|refusal| identity.apply(&refusal.service.name()));
        Part {
            kind: part.kind,
            start_ns: Nanos(part.start.saturating_sub(start)),
            duration_ns: Nanos(part.end.saturating_sub(part.start)),
            outcome: part.outcome,
            name: part.name.clone().or(name),
            record_type: part.asked.map(|asked| asked.record_type),
            requests: part.asked.map(|asked| asked.requests),
            tcp: part.asked.and_then(|asked| asked.tcp.then_some(true)),
            address: service.map(|service| service.address),
            error_code: refusal.map(|refusal| refusal.code),
            connection_id: part.connection,
            loser: part.loser.then_some(true),
            proxied: (part.role == Role::Proxied).then_some(true),
            partner: (part.role == Role::ToPartner).then_some(true),
        }
    }

    /// Why a login, which was decided just now, failed or took long: its attempt may have no other reason.
    pub(in crate::session) fn explains(&mut self, facts: &ConnectionFacts, wire: &Wire) {
        if self.shared.config.attempts {
            let client = (wire.identity().client.address, facts.process.as_ref());
            let attempts = &mut self.shared.attempts;
            let why = Why {
                causes: &facts.diagnosis,
                incident: facts.login.incident,
            };
            attempts.explain(client, facts.connection.id, why);
        }
    }
}

fn verdict(wire: &Wire, at: u64, facts: &ConnectionFacts) -> Verdict {
    let login = &facts.login;
    let outcome = login.outcome.unwrap_or_default();
    let identity = wire.identity();
    let spoke = wire.sent[0].bytes > 0;
    let reset = wire.ends.reset();
    let given_up = match outcome {
        // Of one that nobody watched to its end the client may not need it either.
        Outcome::Unreachable | Outcome::Aborted | Outcome::Unknown => true,
        Outcome::Reset => reset.is_some_and(|reset| reset.side == Side::ToServer),
        _ => false,
    };
    let sni = facts.tls.as_ref().and_then(|tls| tls.sni.clone());
    let redirect = login.redirect.as_ref();
    let redirect = redirect.filter(|_| outcome == Outcome::Redirected);
    Verdict {
        id: facts.connection.id,
        client: identity.client.address,
        start: wire.started,
        at,
        outcome,
        kind: if facts.tds.is_some() {
            PartKind::Login
        } else {
            PartKind::Connect
        },
        target: Target {
            name: sni.or_else(|| login.server_name.clone()),
            instance: facts.server.instance.clone(),
            port: Some(identity.server.port),
        },
        silent: given_up && !spoke && wire.sent[1].bytes == 0,
        server: identity.server,
        heard: wire.sent[1].bytes > 0,
        redirect: redirect.map(|to| (to.address.parse().ok(), to.port)),
        returns: returns(facts),
        recovers: false,
        guid: None,
        partner: facts
            .tds
            .as_ref()
            .and_then(|tds| tds.mirror_partner.clone()),
        pid: None,
    }
}

/// Errors that pass, after which drivers try again: of Azure SQL Database, which moves or wakes a database
/// or is short of something.
const PASSING: [u32; 14] = [
    4221, 10928, 10929, 40143, 40197, 40501, 40540, 40613, 42108, 42109, 49918, 49919, 49920, 615,
];

/// Whether a client is likely to try again. Whoever opens a connection and leaves without a word, or speaks
/// another protocol, has not tried.
fn returns(facts: &ConnectionFacts) -> Returns {
    let login = &facts.login;
    let strange = login
        .stranger
        .is_some_and(|stranger| stranger != Stranger::Silent);
    match login.outcome.unwrap_or_default() {
        _ if strange => Returns::Never,
        Outcome::Failed => {
            let mut errors = login.error.iter().chain(&login.further_errors);
            let passes = errors.any(|error| PASSING.contains(&error.number));
            if passes {
                Returns::Later
            } else {
                Returns::Never
            }
        }
        Outcome::Aborted if facts.tds.is_none() => Returns::Never,
        Outcome::Timeout
        | Outcome::Unreachable
        | Outcome::Refused
        | Outcome::Reset
        | Outcome::Closed
        | Outcome::TlsFailed
        | Outcome::Aborted => Returns::AtOnce,
        _ => Returns::Never,
    }
}

/// What lies between the parts, which are in the order in which they began.
fn unexplained(parts: &[&Done]) -> u64 {
    let mut reached = parts.first().map_or(0, |part| part.start);
    let mut between = 0;
    for part in parts {
        between += part.start.saturating_sub(reached);
        reached = reached.max(part.end);
    }
    between
}

/// The name of an attempt without connections.
fn unnamed(client: IpAddr, parts: &[&Done]) -> AttemptId {
    let mut hash = Sha1::new();
    hash.update(client.to_string());
    for part in parts {
        hash.update(part.start.to_be_bytes());
        hash.update(part.name.as_ref().map_or("", Text::as_str));
    }
    let digest = <[u8; 20]>::from(hash.finalize());
    AttemptId(u64::from_be_bytes(
        digest.first_chunk().copied().unwrap_or_default(),
    ))
}
