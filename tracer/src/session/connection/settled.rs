//! What is kept of a connection whose login is decided.

use tracer_ebpf::event::Event;

use crate::{
    record::{ConnectionId, IncidentId, Nanos, Outcome},
    session::{
        diagnosis::Ranked,
        input::Side,
        report::{Conclusion, Kept},
        stream::Stream,
        wire::When,
    },
};

/// A login that its client gave up on.
#[derive(Debug)]
struct GivenUp {
    /// When it did.
    at: u64,
    /// How much later the first answer came.
    late: Option<Nanos>,
}

/// Why a login went wrong or was slow.
#[derive(Debug)]
pub(super) struct Why {
    pub(super) causes: Box<[Ranked]>,
    /// The incident that it is part of.
    pub(super) incident: Option<IncidentId>,
}

/// What is kept of a login that went wrong or was slow.
#[derive(Debug)]
struct Rare {
    /// When the client gave up on it; the first answer after that is late.
    given_up: Option<GivenUp>,
    why: Why,
}

/// What is kept of a connection whose login is decided.
#[derive(Debug)]
pub(in crate::session) struct Settled {
    /// What was told of it then.
    pub(super) kept: Kept,
    /// What came of the login; `None` where it was over before anybody watched.
    pub(super) outcome: Option<Outcome>,
    /// When the login's deciding packet passed.
    pub(super) decided_at: When,
    /// What only logins have that went wrong or were slow.
    rare: Option<Box<Rare>>,
    /// The first request after the login was answered, or given up.
    pub(super) commanded: bool,
    /// Not told: one stranger too many.
    pub(super) muted: bool,
    /// Streams that go on for a while: what is sealed is told record by record.
    pub(super) tail: Option<Box<[Stream; 2]>>,
}

impl Settled {
    /// Its name, if its login went well.
    pub(super) fn in_use(&self) -> Option<ConnectionId> {
        (self.outcome == Some(Outcome::Success)).then(|| self.kept.id())
    }

    /// After a decision.
    pub(super) fn decided(
        kept: Kept,
        conclusion: &Conclusion,
        muted: bool,
        gave_up: Option<u64>,
        why: Why,
    ) -> Self {
        let gave_up = gave_up.filter(|_| !conclusion.answered);
        let rare = (gave_up.is_some() || !why.causes.is_empty()).then(|| {
            Box::new(Rare {
                given_up: gave_up.map(|at| GivenUp { at, late: None }),
                why,
            })
        });
        Self {
            kept,
            outcome: Some(conclusion.decision.outcome),
            decided_at: When::at(conclusion.decision.at),
            rare,
            commanded: false,
            muted,
            tail: None,
        }
    }

    /// Of a connection whose login was over before anybody watched.
    pub(super) fn unseen(kept: Kept) -> Self {
        Self {
            kept,
            outcome: None,
            decided_at: When::NEVER,
            rare: None,
            commanded: false,
            muted: false,
            tail: None,
        }
    }

    /// The streams of the login, of which more may be told.
    pub(super) fn goes_on(&mut self, streams: [Stream; 2]) {
        self.tail = Some(Box::new(streams));
    }

    /// A segment that is told though the login is decided; whether it is read.
    pub(super) fn segment(&mut self, side: Side, event: &Event, run: &[u8]) -> bool {
        if let Some(tail) = &mut self.tail {
            tail[side as usize].take(event, run);
        }
        true
    }

    /// The server sends something: late, where the client has given up on the login.
    pub(super) fn reply(&mut self, at: u64) {
        let rare = self.rare.as_mut();
        if let Some(given_up) = rare.and_then(|rare| rare.given_up.as_mut())
            && at > given_up.at
        {
            given_up.late.get_or_insert(Nanos(at - given_up.at));
        }
    }

    /// How much later than the client gave up the first answer came.
    pub(super) fn late_reply(&self) -> Option<Nanos> {
        self.rare.as_ref()?.given_up.as_ref()?.late
    }

    /// Why the login went wrong or was slow.
    pub(super) fn causes(&self) -> &[Ranked] {
        self.rare.as_ref().map_or(&[], |rare| &rare.why.causes)
    }

    /// The incident that the login is part of.
    pub(super) fn incident(&self) -> Option<IncidentId> {
        self.rare.as_ref()?.why.incident
    }

    /// Whether nobody answered.
    pub(super) fn is_unreachable(&self) -> bool {
        self.outcome == Some(Outcome::Unreachable)
    }
}
