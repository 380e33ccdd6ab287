//! Logins as incidents see them, and what there is to tell.

use std::net::IpAddr;

use sha1::{Digest, Sha1};

use super::{
    Open,
    family::{self, Place, Scope},
};
use crate::{
    record::{
        AuthKind, ConnectionId, IncidentAction, IncidentId, IncidentOutcome, Outcome, PhaseName,
        Text,
    },
    session::diagnosis::Ranked,
};

/// A login that is decided, or as it stands. Moments are nanoseconds as in events.
#[derive(Clone, Debug)]
pub(in crate::session) struct Ended {
    pub(in crate::session) connection: ConnectionId,
    /// What time it is.
    pub(in crate::session) at: u64,
    pub(in crate::session) started: u64,
    pub(in crate::session) duration: u64,
    pub(in crate::session) client: IpAddr,
    pub(in crate::session) server: (IpAddr, u16),
    /// The local process, where it is known.
    pub(in crate::session) process: Option<Text>,
    /// That is the client's.
    pub(in crate::session) is_clients: bool,
    /// What the client calls itself.
    pub(in crate::session) application: Option<Text>,
    pub(in crate::session) kind: AuthKind,
    /// `None` while it is not decided.
    pub(in crate::session) outcome: Option<Outcome>,
    /// The slowest phase, or the one in which it ended.
    pub(in crate::session) phase: Option<PhaseName>,
    /// The number of the server's error.
    pub(in crate::session) error: Option<u32>,
}

impl Ended {
    fn client(&self) -> Scope {
        let process = self.process.clone().filter(|_| self.is_clients);
        Scope::Client(self.client, process)
    }

    /// All that it belongs to.
    pub(super) fn scopes(&self) -> [Scope; 3] {
        let (address, port) = self.server;
        [Scope::Server(address, port), self.client(), Scope::Cause]
    }
}

/// A login that went wrong, or is pending.
#[derive(Clone, Debug)]
pub(in crate::session) struct Seen {
    pub(in crate::session) ended: Ended,
    /// The likeliest cause.
    pub(in crate::session) why: Ranked,
}

impl Seen {
    /// The trouble that it met, and where.
    pub(super) fn key(&self) -> Key {
        let (family, place) = family::of(self.why.slug(), self.why.whom);
        let (address, port) = self.ended.server;
        let refused = self.ended.outcome == Some(Outcome::Failed);
        Key {
            family,
            error: self.ended.error.filter(|_| refused).unwrap_or_default(),
            scope: match place {
                Place::Server => Scope::Server(address, port),
                Place::Client => self.ended.client(),
                Place::Behind => Scope::Cause,
            },
        }
    }
}

/// A login as it is told here.
#[derive(Clone, Debug)]
pub(in crate::session) enum Login {
    /// It went wrong, or is pending.
    Wrong(Box<Seen>),
    /// It did what its client wanted in no more than its time, or nobody can say.
    Other(Ended),
}

impl Login {
    pub(super) const fn ended(&self) -> &Ended {
        match self {
            Self::Wrong(seen) => &seen.ended,
            Self::Other(ended) => ended,
        }
    }

    /// Whether it did what its client wanted, in no more than its time.
    pub(super) fn is_well(&self) -> bool {
        match self {
            Self::Wrong(_) => false,
            Self::Other(ended) => ended.outcome.is_some_and(Outcome::is_good),
        }
    }

    /// Whether it is one of how many there were: a probe is not.
    pub(super) fn is_counted(&self) -> bool {
        matches!(self, Self::Wrong(_)) || self.is_well()
    }
}

/// A trouble at a place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) family: &'static str,
    /// The server's error, where the trouble is that the server refuses; else 0.
    pub(super) error: u32,
    pub(super) scope: Scope,
}

impl Key {
    /// Whether it is the same trouble, wherever.
    pub(super) fn is_same_trouble(&self, other: &Self) -> bool {
        (self.family, self.error) == (other.family, other.error)
    }

    /// The name of an incident of it whose first login is that of this connection.
    pub(super) fn incident(&self, first: ConnectionId) -> IncidentId {
        let mut hash = Sha1::new();
        hash.update(first.0.to_be_bytes());
        hash.update(self.family);
        hash.update(self.error.to_be_bytes());
        let digest = <[u8; 20]>::from(hash.finalize());
        let first = digest.first_chunk().copied().unwrap_or_default();
        IncidentId(u64::from_be_bytes(first))
    }
}

/// What there is to tell of an incident.
#[derive(Debug)]
pub(in crate::session) struct News {
    pub(in crate::session) at: u64,
    pub(in crate::session) action: IncidentAction,
    pub(in crate::session) outcome: Option<IncidentOutcome>,
    pub(in crate::session) scope: Scope,
    pub(in crate::session) error: Option<u32>,
    /// In which what is usual was counted, nanoseconds.
    pub(in crate::session) window: u64,
    pub(in crate::session) open: Box<Open>,
}
