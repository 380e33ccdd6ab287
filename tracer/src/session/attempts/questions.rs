//! Questions to SQL Browser that are not answered yet: a client that has no answer asks again, perhaps from
//! another port, and goes on with the first answer that comes. Times are nanoseconds.

use std::net::IpAddr;

use super::{
    Attempts, Handle, Who,
    attempt::{Attempt, Done, LookedUp},
    client::Client,
    patience::FOLLOWED,
};
use crate::record::{LookupOutcome, PartKind, PartOutcome, Text};

/// Questions of one client that are remembered while they are open.
const MAX_QUESTIONS: usize = 64;
/// Questions in vain before another one.
const MAX_BEFORE: usize = 16;
/// Nobody asks again sooner, having waited for an answer: one who does asks for another login.
const WAITED: u64 = 150_000_000;

/// A question that is not answered.
#[derive(Clone, Debug)]
pub(in crate::session) struct Question {
    /// The port that it was asked from.
    pub(in crate::session) port: u16,
    /// Who was asked.
    pub(in crate::session) browser: IpAddr,
    /// For which instance.
    pub(in crate::session) instance: Text,
    /// When it was asked first.
    pub(in crate::session) asked: u64,
    /// Those before it, which nobody has answered either.
    before: Vec<Done>,
    /// It is part of an attempt.
    told: bool,
}

impl Question {
    pub(in crate::session) fn new(
        (port, browser): (u16, IpAddr),
        instance: Text,
        asked: u64,
    ) -> Self {
        Self {
            port,
            browser,
            instance,
            asked,
            before: Vec::new(),
            told: false,
        }
    }

    fn is_for(&self, instance: &str) -> bool {
        self.instance.as_str().eq_ignore_ascii_case(instance)
    }

    /// The parts of an attempt that it is, with those before it, its client having gone on at `at`.
    fn parts(&mut self, at: u64) -> Vec<Done> {
        self.told = true;
        let mut parts = std::mem::take(&mut self.before);
        let span = (self.asked, at.max(self.asked));
        let outcome = PartOutcome::Lookup(LookupOutcome::Timeout);
        parts.push(Done {
            name: Some(self.instance.clone()),
            ..Done::new(PartKind::Lookup, span, outcome)
        });
        parts
    }
}

impl Attempts {
    /// A client asks SQL Browser for an instance.
    pub(in crate::session) fn asks(&mut self, who: Who, question: Question) {
        self.clients.entry(who).or_default().asks(question);
    }

    /// A lookup is over.
    pub(in crate::session) fn looked_up(&mut self, lookup: LookedUp) {
        let (client, at) = (lookup.who, lookup.done.end);
        let own = self.clients.entry(client).or_default();
        let over = own.looked_up(lookup);
        self.over.extend(over);
        self.review(client, at);
    }

    /// A client says on a connection which instance it wants: where it has asked there for that, and no answer
    /// was seen, it knows all the same.
    pub(in crate::session) fn wants(&mut self, handle: Handle, instance: &str) {
        if let Some(who) = self.homes.get(&handle)
            && let Some(own) = self.clients.get_mut(who)
        {
            own.wants(handle, instance);
        }
    }
}

impl Client {
    fn asks(&mut self, question: Question) {
        let (instance, at) = (question.instance.as_str(), question.asked);
        // The next try begins with the question.
        let again = self.only(|attempt| attempt.may_ask_again(instance, at));
        if let Some(attempt) = again.and_then(|place| self.attempts.get_mut(place)) {
            attempt.until = attempt.until.max(at.saturating_add(FOLLOWED));
        }
        if self.questions.len() < MAX_QUESTIONS {
            self.questions.push(question);
        }
    }

    /// A lookup is over; the attempt that it is, where there is no room for that.
    fn looked_up(&mut self, lookup: LookedUp) -> Option<Attempt> {
        let (mut before, mut is_spare) = (Vec::new(), false);
        let answered = lookup.done.outcome == PartOutcome::Lookup(LookupOutcome::Answered);
        let is_it = |question: &Question| {
            (question.port, question.browser, question.asked)
                == (lookup.port, lookup.browser, lookup.done.start)
        };
        if let Some(place) = self.questions.iter().position(is_it) {
            let question = self.questions.remove(place);
            // Answered all the same, it may have been another thread's.
            is_spare = question.told && answered;
            if question.told && !answered {
                return None;
            }
            before = question.before;
        }
        let name = lookup.done.name.clone();
        let instance = name.as_ref().map_or("", Text::as_str);
        let start = lookup.done.start;
        let same = self.questions.iter_mut();
        let mut same = same.filter(|other| !other.told && other.is_for(instance));
        if answered {
            let earlier = same.filter(|other| other.asked.saturating_add(WAITED) <= start);
            before.extend(in_vain(earlier, start));
        } else if let (Some(later), None) = (
            same.find(|other| other.asked >= start.saturating_add(WAITED)),
            before.get(MAX_BEFORE),
        ) {
            let mut own = lookup.done;
            own.end = own.end.min(later.asked);
            later.before.extend(before);
            later.before.push(own);
            return None;
        }
        let again = self.only(|attempt| attempt.may_ask_again(instance, start));
        let mut attempt = Attempt::after(lookup);
        attempt.parts.extend(before);
        attempt.is_spare |= is_spare;
        if let Some(earlier) = again.and_then(|place| self.attempts.get_mut(place)) {
            earlier.absorb(attempt);
            return None;
        }
        if self.is_full() {
            return Some(attempt);
        }
        self.add(attempt);
        None
    }

    fn wants(&mut self, handle: Handle, instance: &str) {
        let Some(one) = self.get(handle).cloned() else {
            return;
        };
        let is_asked = |question: &&mut Question| {
            let there = question.browser == one.server.address && question.is_for(instance);
            let lately = question.asked <= one.opened && one.opened - question.asked <= FOLLOWED;
            there && lately && !question.told
        };
        let asked = self.questions.iter_mut().filter(is_asked);
        let parts = in_vain(asked, one.opened);
        let attempts = self.attempts.iter_mut();
        let mut own = attempts.filter(|attempt| attempt.has(handle) && !attempt.has_looked_up());
        if let Some(attempt) = own.next() {
            attempt.parts.extend(parts);
        }
    }
}

/// The parts that questions are which nobody has answered, each until the next one, the last until `at`.
fn in_vain<'a>(questions: impl Iterator<Item = &'a mut Question>, at: u64) -> Vec<Done> {
    let mut questions: Vec<_> = questions.collect();
    questions.sort_by_key(|question| question.asked);
    let next: Vec<_> = questions.iter().map(|question| question.asked).collect();
    let until = next.into_iter().skip(1).chain([at]);
    let each = questions.into_iter().zip(until);
    each.flat_map(|(question, until)| question.parts(until))
        .collect()
}

impl Attempt {
    /// Whether it came to nothing, and its next try may begin with the same question.
    fn may_ask_again(&self, instance: &str, at: u64) -> bool {
        let same = self.target.instance.as_ref();
        let same = same.is_some_and(|own| own.as_str().eq_ignore_ascii_case(instance));
        same && self.goes_on(at) && self.has_looked_up()
    }

    /// Whether SQL Browser was asked for its sake.
    pub(super) fn has_looked_up(&self) -> bool {
        let mut parts = self.parts.iter();
        parts.any(|part| part.kind == PartKind::Lookup)
    }
}
