//! One connection of an attempt, while it is followed.

use super::Handle;
use crate::{record::Outcome, session::wire::End, tds::prelogin::Guid};

/// What a connection is to its attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::session) enum Role {
    /// The client's own, to the server that it means.
    #[default]
    Own,
    /// The client's own, to the failover partner of the server that it has tried.
    ToPartner,
    /// A proxy's, which passes on what the client says on another one.
    Proxied,
}

/// Parts of a connection that is followed.
#[derive(Clone, Debug)]
pub(super) struct Try {
    pub(super) handle: Handle,
    pub(super) server: End,
    /// When its first packet passed.
    pub(super) opened: u64,
    /// When its SYN was sent last.
    pub(super) last_syn: u64,
    /// When its handshake was over.
    pub(super) established: Option<u64>,
    /// Its client has said something.
    pub(super) spoke: bool,
    pub(super) ended: Option<Ending>,
    pub(super) successor: Successor,
    pub(super) role: Role,
    /// What its client says of itself.
    pub(super) said: Said,
    /// It is part of its attempt because it may be the next try, and parts so many come with it.
    pub(super) again: Option<usize>,
}

/// What a client says of itself in PRELOGIN (MS-TDS section 2.2.6.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::session) struct Said {
    /// THREADID, of its thread; some drivers name their process there.
    pub(in crate::session) thread: Option<u32>,
    /// TRACEID, of this connection.
    pub(in crate::session) connection: Option<Guid>,
}

/// How a connection's login was decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    pub(super) at: u64,
    pub(super) outcome: Outcome,
    /// Neither side has said a byte.
    pub(super) silent: bool,
}

/// The connection that was opened where this one would have tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Successor {
    None,
    One(Handle),
    /// One of several, or none.
    Doubtful,
}

impl Try {
    pub(super) fn new(handle: Handle, server: End, opened: u64) -> Self {
        Self {
            handle,
            server,
            opened,
            last_syn: opened,
            established: None,
            spoke: false,
            ended: None,
            successor: Successor::None,
            role: Role::Own,
            said: Said::default(),
            again: None,
        }
    }

    /// Its client has not given it up yet: whatever was opened before comes not after it.
    pub(super) fn syn_again(&mut self, at: u64) {
        if at > self.last_syn {
            self.last_syn = at;
            self.successor = Successor::None;
        }
    }
}
