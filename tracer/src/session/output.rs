//! What connections say, and what they share to say it.

use zeroize::Zeroizing;

use super::{
    certificates::Certificates,
    connection::Connection,
    engine::{Config, Listener},
    login::Login,
    losses::Losses,
    usage::Done,
};
use crate::record::{
    Body, Close, CloseRecord, ConnectionFacts, LoginRecord, LossReason, MarsRecord, MarsSession,
    NamedPhase, Nanos, PhaseName, PhaseRecord, Record, Request, RequestRecord,
};

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) losses: Losses,
    pub(super) certificates: Certificates,
    /// For the bytes of a packet while it is read.
    pub(super) memory: Zeroizing<Vec<u8>>,
}

/// What a connection needs to speak.
pub(super) struct Output<'a> {
    pub(super) shared: &'a mut Shared,
    pub(super) listener: &'a mut dyn Listener,
}

impl Shared {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            losses: Losses::default(),
            certificates: Certificates::default(),
            memory: Zeroizing::default(),
        }
    }

    pub(super) fn output<'a>(&'a mut self, listener: &'a mut dyn Listener) -> Output<'a> {
        Output {
            shared: self,
            listener,
        }
    }

    /// Tells what was not seen since that was last told.
    pub(super) fn tell_losses(&mut self, now: u64, listener: &mut dyn Listener) {
        self.losses.tell(now, &self.config, listener);
    }
}

impl Output<'_> {
    /// Events missing from a connection's numbering.
    pub(super) fn events_missing(&mut self, count: u32) {
        self.shared
            .losses
            .add(LossReason::EventsMissing, count.into());
    }

    /// A connection that the kernel's table had no room for, for a while.
    pub(super) fn forgotten(&mut self) {
        self.shared.losses.add(LossReason::FlowTableFull, 1);
    }

    /// A login and, before it, its phases, unless it is one stranger's too many.
    pub(super) fn login(&mut self, connection: &mut Connection, login: &Login, at: u64) {
        if let Some(kind) = connection.facts.login.stranger
            && !self.shared.losses.allow(kind, at)
        {
            connection.muted = true;
            return;
        }
        self.phases(connection, login);
        let facts = connection.facts();
        self.tell(at, Body::Login(Box::new(LoginRecord { facts })));
    }

    pub(super) fn close(&mut self, facts: ConnectionFacts, close: Close, at: u64) {
        self.tell(at, Body::Close(Box::new(CloseRecord { facts, close })));
    }

    /// The phases of a login, where they are asked for.
    fn phases(&mut self, connection: &mut Connection, login: &Login) {
        if !self.shared.config.phases {
            return;
        }
        let ended: Vec<_> = login
            .phases
            .iter()
            .map(|ended| (ended.name, ended.to))
            .collect();
        for (name, at) in ended {
            self.phase(connection, name, at);
        }
    }

    pub(super) fn phase(&mut self, connection: &mut Connection, name: PhaseName, at: u64) {
        if !self.shared.config.phases {
            return;
        }
        let reference = connection.reference();
        let facts = &connection.facts;
        let Some(phase) = facts.phases.of(name) else {
            return;
        };
        let body = Body::Phase(PhaseRecord {
            connection: reference,
            client: facts.client.clone(),
            server: facts.server.clone(),
            phase: NamedPhase {
                name,
                phase: phase.clone(),
            },
        });
        self.tell(at, body);
    }

    pub(super) fn request(&mut self, connection: &mut Connection, done: &Done, sid: Option<u16>) {
        let Some(kind) = done.kind.filter(|_| self.shared.config.requests) else {
            return;
        };
        let request = Request {
            kind,
            start: self.shared.config.wall(done.start),
            first_byte_ns: done
                .first_byte
                .map(|at| Nanos(at.saturating_sub(done.start))),
            duration_ns: Nanos(done.end.saturating_sub(done.start)),
            server_ns: done
                .first_byte
                .map(|at| Nanos(at.saturating_sub(done.sent))),
            complete: done.complete,
            reset_connection: done.reset_connection,
            cancelled: done.cancelled.is_some(),
            cancel_ns: done
                .cancelled
                .filter(|_| done.complete)
                .map(|at| Nanos(done.end.saturating_sub(at))),
            session: sid,
        };
        let body = Body::Request(RequestRecord {
            connection: connection.reference(),
            client: connection.facts.client.clone(),
            server: connection.facts.server.clone(),
            request,
        });
        self.tell(done.end, body);
    }

    pub(super) fn mars(&mut self, connection: &mut Connection, mut mars: MarsSession) {
        if connection.untimed {
            mars.duration_ns = None;
        }
        let body = Body::Mars(MarsRecord {
            connection: connection.reference(),
            client: connection.facts.client.clone(),
            server: connection.facts.server.clone(),
            mars,
        });
        self.tell(connection.last_seen, body);
    }

    fn tell(&mut self, at: u64, body: Body) {
        self.listener.record(Record {
            timestamp: self.shared.config.wall(at),
            body,
        });
    }
}
