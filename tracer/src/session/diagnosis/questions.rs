//! What other services were asked for the sake of a login, or of an attempt.

use super::{Symptoms, found::Found, whole::Whole};
use crate::{
    kerberos::Refusal,
    record::{PartKind, PartOutcome, ServiceOutcome, Text},
    session::attempts::{Done, Service},
};

/// A question to a service, or a connection to it. Times are nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) kind: PartKind,
    start: u64,
    took: u64,
    outcome: ServiceOutcome,
    pub(super) name: Option<&'a str>,
    service: &'a Service,
}

impl<'a> Question<'a> {
    fn of(done: &'a Done) -> Option<Self> {
        let PartOutcome::Service(outcome) = done.outcome else {
            return None;
        };
        Some(Self {
            kind: done.kind,
            start: done.start,
            took: done.end.saturating_sub(done.start),
            outcome,
            name: done.name.as_ref().map(Text::as_str),
            service: done.service.as_deref()?,
        })
    }

    /// Whether it was asked of what gives a machine its tokens.
    pub(super) fn is_imds(&self) -> bool {
        self.service.is_imds
    }

    /// Whether nobody said anything.
    pub(super) fn is_silent(&self) -> bool {
        self.outcome == ServiceOutcome::Unanswered
    }

    /// Whether it had what it asked for.
    pub(super) fn is_answered(&self) -> bool {
        self.outcome == ServiceOutcome::Answered
    }

    /// Whether nobody said anything, or nobody was there.
    pub(super) fn is_in_vain(&self) -> bool {
        self.is_silent() || self.outcome == ServiceOutcome::Refused
    }

    /// What Kerberos said instead of a ticket.
    pub(super) fn refusal(&self) -> Option<&'a Refusal> {
        self.service.refusal.as_ref()
    }
}

impl<'a> Symptoms<'a> {
    /// What was asked for its sake.
    pub(super) fn questions(&self) -> Questions<'a> {
        Questions(self.beside.iter().filter_map(Question::of).collect())
    }
}

impl<'a> Whole<'a> {
    /// What was asked for its sake.
    pub(super) fn questions(&self) -> Questions<'a> {
        let steps = self.steps.iter();
        Questions(steps.filter_map(|step| Question::of(step.done?)).collect())
    }
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Questions<'a>(Vec<Question<'a>>);

impl<'a> Questions<'a> {
    /// Those that are so.
    pub(super) fn filter(&self, is_one: impl Fn(&Question<'a>) -> bool) -> Self {
        Self(self.0.iter().filter(|one| is_one(one)).copied().collect())
    }

    /// Those of a kind.
    pub(super) fn of(&self, kind: PartKind) -> Self {
        self.filter(|one| one.kind == kind)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Whether all are so.
    pub(super) fn all(&self, is_so: impl Fn(&Question<'a>) -> bool) -> bool {
        self.0.iter().all(is_so)
    }

    /// The time in which one of them at least was open, nanoseconds.
    pub(super) fn took(&self) -> u64 {
        let mut spans: Vec<_> = self
            .0
            .iter()
            .map(|one| (one.start, one.start + one.took))
            .collect();
        spans.sort_unstable();
        let mut reached = 0;
        let mut took = 0;
        for (from, to) in spans {
            took += to.saturating_sub(from.max(reached));
            reached = reached.max(to);
        }
        took
    }

    /// The hosts' names, each once.
    pub(super) fn names(&self) -> Option<Vec<&'a str>> {
        let mut names: Vec<_> = self.0.iter().filter_map(|one| one.name).collect();
        names.dedup();
        (!names.is_empty()).then_some(names)
    }

    /// What Kerberos said instead of a ticket.
    pub(super) fn refusals(&self) -> impl Iterator<Item = &'a Refusal> {
        self.0.iter().filter_map(Question::refusal)
    }

    /// What a cause rests on that these are: how long they took, how many they were, and of how many nothing came.
    pub(super) fn support(&self, found: Found, took: &'static str) -> Found {
        let silent = self.filter(Question::is_in_vain).count();
        found
            .took(took, self.took())
            .counted("questions", self.count())
            .counted("unanswered_questions", silent)
    }
}

#[cfg(test)]
pub(super) mod samples {
    use std::net::IpAddr;

    use super::*;

    /// A question that ends so, from one second to another.
    pub(in crate::session::diagnosis) fn asked(
        kind: PartKind,
        outcome: ServiceOutcome,
        (start, end): (u64, u64),
    ) -> Done {
        const SECOND: u64 = 1_000_000_000;
        let span = (start * SECOND, end * SECOND);
        Done {
            service: Some(Box::new(Service {
                address: IpAddr::from([10, 0, 0, 88]),
                refusal: None,
                is_imds: false,
            })),
            heard: outcome != ServiceOutcome::Unanswered,
            ..Done::new(kind, span, PartOutcome::Service(outcome))
        }
    }

    /// The same of a KDC that says this.
    pub(in crate::session::diagnosis) fn refused(code: i32, place: &str) -> Done {
        let mut done = asked(PartKind::Kdc, ServiceOutcome::Error, (0, 0));
        if let Some(service) = &mut done.service {
            service.refusal = Some(Refusal::for_sql_server(code, place));
        }
        done
    }

    /// The same of what gives a machine its tokens.
    pub(in crate::session::diagnosis) fn imds(span: (u64, u64)) -> Done {
        let mut done = asked(PartKind::Token, ServiceOutcome::Answered, span);
        if let Some(service) = &mut done.service {
            service.is_imds = true;
        }
        done
    }
}
