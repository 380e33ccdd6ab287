//! The attempts of one client.

use std::net::IpAddr;

use super::{
    Attempt, Gone, Handle, Named, Question, Resolved, Role, Said, Verdict,
    follow::Opened,
    rules::{self, Lost},
    tries::{Ending, Successor, Try},
};
use crate::record::{ConnectionId, Text};

/// Attempts of one client that go on at once; a further one is not followed.
const MAX_ATTEMPTS: usize = 256;
/// Connections of one attempt: drivers try up to 64 addresses at once (`MultiSubnetFailover`).
const MAX_TRIES: usize = 64;

/// The attempts of one client, in the order in which they began.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) attempts: Vec<Attempt>,
    /// What it asks SQL Browser, while nobody has answered.
    pub(super) questions: Vec<Question>,
    /// When is looked after them.
    pub(super) due: u64,
    /// It opens connections together and uses none: only one that was used shows a race.
    pub(super) probes: bool,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            attempts: Vec::new(),
            questions: Vec::new(),
            due: u64::MAX,
            probes: false,
        }
    }
}

impl Client {
    pub(super) fn is_full(&self) -> bool {
        self.attempts.len() >= MAX_ATTEMPTS
    }

    pub(super) fn has_several(&self) -> bool {
        self.attempts.len() > 1
    }

    /// A connection of each attempt that is undecided.
    pub(super) fn at_work(&self) -> impl Iterator<Item = Handle> {
        self.attempts.iter().filter_map(Attempt::at_work)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.attempts.is_empty() && self.questions.is_empty()
    }

    pub(super) fn add(&mut self, attempt: Attempt) {
        if self.attempts.is_empty() {
            // Most clients have one at a time.
            self.attempts.reserve_exact(1);
        }
        self.attempts.push(attempt);
    }

    pub(super) fn into_attempts(self) -> Vec<Attempt> {
        self.attempts
    }

    /// Takes out the attempt of a connection.
    pub(super) fn take(&mut self, handle: Handle) -> Option<Attempt> {
        let place = self.place(handle)?;
        Some(self.attempts.remove(place))
    }

    /// A connection.
    pub(super) fn get(&self, handle: Handle) -> Option<&Try> {
        let mut tries = self.attempts.iter().flat_map(|one| &one.tries);
        tries.find(|one| one.handle == handle)
    }

    /// When the attempt of a connection began.
    pub(super) fn start_of(&self, handle: Handle) -> Option<u64> {
        Some(self.attempts.get(self.place(handle)?)?.start())
    }

    /// Whether a connection was given up for another one of this client.
    pub(super) fn loses(&self, handle: Handle, verdict: &Verdict) -> bool {
        let place = self.place(handle).zip(self.get(handle));
        place.is_some_and(|(place, one)| self.lost_to(place, one, verdict).is_some())
    }

    /// The same, to be changed.
    pub(super) fn find(&mut self, handle: Handle) -> Option<&mut Try> {
        let mut tries = self.attempts.iter_mut().flat_map(|one| &mut one.tries);
        tries.find(|one| one.handle == handle)
    }

    /// Where a connection's attempt is.
    fn place(&self, handle: Handle) -> Option<usize> {
        let is_of = |attempt: &Attempt| attempt.tries.iter().any(|one| one.handle == handle);
        self.attempts.iter().position(is_of)
    }

    /// The name that was meant by the attempt that a connection is part of.
    pub(super) fn name(&self, handle: Handle) -> Option<&Text> {
        self.attempts[self.place(handle)?].target.name.as_ref()
    }

    /// A connection is opened.
    pub(super) fn opens(
        &mut self,
        client: IpAddr,
        mut one: Try,
        resolved: Resolved,
        opened: &Opened<'_>,
    ) {
        if self
            .awaiting(&one)
            .is_some_and(|attempt| attempt.has_looked_up())
        {
            self.succeed(&one, opened);
        }
        if let Some(attempt) = self.awaiting(&one) {
            attempt.opens(one);
            attempt.resolves(resolved);
            return;
        }
        if let Some(attempt) = self.trying_again(&one, opened) {
            let to_partner = |before: &Try| opened.partner_of.contains(&before.server);
            if attempt.tries.iter().any(to_partner) {
                one.role = Role::ToPartner;
            }
            one.again = Some(resolved.parts.len());
            attempt.opens(one);
            attempt.resolves(resolved);
            return;
        }
        self.succeed(&one, opened);
        let mut attempt = Attempt::of(client);
        attempt.opens(one);
        attempt.resolves(resolved);
        self.add(attempt);
    }

    /// The attempt that a connection goes on with: the first that was told to go there, or the only one
    /// that was refused elsewhere.
    fn awaiting(&mut self, one: &Try) -> Option<&mut Attempt> {
        let room = |attempt: &&mut Attempt| attempt.tries.len() < MAX_TRIES;
        let expects = |attempt: &Attempt| attempt.expects(&one.server, one.opened);
        if let Some(place) = self.attempts.iter().position(expects) {
            return self.attempts.get_mut(place).filter(room);
        }
        let refused = |attempt: &Attempt| attempt.tries_elsewhere(&one.server, one.opened);
        let only = self.only(refused)?;
        self.attempts.get_mut(only).filter(room)
    }

    /// The attempt of which a connection is the next try: the only one that it may be. Where others go on
    /// at the same time it is nobody's: of a process those to the same server, of an address all.
    fn trying_again(&mut self, one: &Try, opened: &Opened<'_>) -> Option<&mut Attempt> {
        let only = self.only(|attempt| attempt.tries_again(one, opened))?;
        let others = self.attempts.iter().enumerate();
        let mut others = others.filter(|(place, _)| *place != only);
        let in_doubt = others.any(|(_, other)| !opened.by_process || other.is_open_to(&one.server));
        if in_doubt {
            return None;
        }
        self.attempts.get_mut(only)
    }

    /// Where the only such attempt is.
    pub(super) fn only(&self, is_one: impl Fn(&Attempt) -> bool) -> Option<usize> {
        let places = self.attempts.iter().enumerate();
        let mut places = places.filter(|(_, attempt)| is_one(attempt));
        let (only, other) = (places.next()?, places.next());
        other.is_none().then_some(only.0)
    }

    /// A client says who it is: where that is not who has tried before, it is no next try.
    pub(super) fn says(&mut self, handle: Handle, said: Said) {
        let Some(place) = self.place(handle) else {
            return;
        };
        let attempt = &mut self.attempts[place];
        let Some(one) = attempt.tries.iter_mut().find(|one| one.handle == handle) else {
            return;
        };
        one.said = said;
        let is_again = one.again.is_some();
        let mut others = attempt.tries.iter().filter(|one| one.handle != handle);
        let differs = |other: &Try| {
            let both = other.said.thread.zip(said.thread);
            both.is_some_and(|(one, other)| one != other)
        };
        if is_again && others.any(differs) {
            let other = attempt.gives_up(handle);
            self.attempts.extend(other);
        }
    }

    /// Room for another attempt: the oldest one that only waits for what may follow is over.
    pub(super) fn make_room(&mut self, over: &mut Vec<Attempt>) {
        if let Some(place) = self.attempts.iter().position(|attempt| !attempt.is_open()) {
            over.push(self.attempts.remove(place));
        }
    }

    /// Takes out the attempt that consists of one connection only, as far as it is known.
    pub(super) fn take_alone(&mut self, handle: Handle) -> Option<Attempt> {
        let place = self.place(handle)?;
        let attempt = &self.attempts[place];
        let is_alone = attempt.tries.len() == 1 && attempt.id.is_none();
        is_alone.then(|| self.attempts.remove(place))
    }

    /// A proxy's connection passes on what this client says on another one.
    pub(super) fn goes_through(&mut self, handle: Handle, proxied: Attempt) {
        match self.place(handle) {
            Some(place) => self.attempts[place].absorb(proxied),
            None => self.attempts.push(proxied),
        }
    }

    /// Notes the connection that is not answered and after which this one is opened, if it is one alone.
    fn succeed(&mut self, opened: &Try, known: &Opened<'_>) {
        let tries = self.attempts.iter_mut().flat_map(|one| &mut one.tries);
        let mut before: Vec<_> = tries
            .filter(|one| rules::may_succeed(opened, one))
            // Of a process is known when it gives one up: until then another thread is there.
            .filter(|one| !known.by_process || one.server != opened.server)
            .collect();
        let alone = before.len() == 1;
        for one in &mut before {
            one.successor = match one.successor {
                Successor::None if alone => Successor::One(opened.handle),
                _ => Successor::Doubtful,
            };
        }
    }

    /// A connection's login is decided.
    pub(super) fn decided(
        &mut self,
        handle: Handle,
        verdict: &Verdict,
        gone: Option<Gone>,
    ) -> Option<Named> {
        let one = self.find(handle)?;
        one.ended = Some(Ending {
            at: verdict.at,
            outcome: verdict.outcome,
            silent: verdict.silent,
        });
        let one = one.clone();
        let mut place = self.place(handle)?;
        let mut loser = false;
        if let Some((winner, lost)) = self.lost_to(place, &one, verdict)
            && let Some(joined) = self.join(place, winner)
        {
            place = joined;
            loser = lost == Lost::Race;
        }
        let attempt = self.attempts.get_mut(place)?;
        attempt.recovers = attempt.recovers.or(gone);
        Some(attempt.decided(verdict, one.role, loser))
    }

    /// The attempt for which a connection was given up: where several may be, the only one whose client
    /// has said something, or before any has the one that was established first.
    fn lost_to(&self, own: usize, one: &Try, verdict: &Verdict) -> Option<(usize, Lost)> {
        let others = self.attempts.iter().enumerate();
        let others = others.filter(|(place, _)| *place != own);
        let others = others.flat_map(|(place, attempt)| {
            let tries = attempt.tries.iter();
            tries.filter_map(move |other| {
                let lost = rules::has_lost(one, verdict, other)?;
                Some((place, lost, other))
            })
        });
        let mut others: Vec<_> = others.collect();
        let succeeded = others.iter().find(|(_, lost, _)| *lost == Lost::Succeeded);
        if let Some((place, lost, _)) = succeeded {
            return Some((*place, *lost));
        }
        if others.iter().any(|(_, _, other)| other.spoke) {
            others.retain(|(_, _, other)| other.spoke);
            others.dedup_by_key(|(place, _, _)| *place);
            if others.len() > 1 {
                return None;
            }
        } else if self.probes {
            others.clear();
        }
        let first = others.iter().min_by_key(|(_, _, other)| other.established);
        first.map(|(place, lost, _)| (*place, *lost))
    }

    /// Joins two attempts; where the one is that they are now. Those that were both named stay two.
    fn join(&mut self, one: usize, other: usize) -> Option<usize> {
        let [first, second] = [one.min(other), one.max(other)];
        let both = [self.attempts.get(first)?, self.attempts.get(second)?];
        let tries: usize = both.iter().map(|attempt| attempt.tries.len()).sum();
        let named = both.iter().filter(|attempt| attempt.id.is_some()).count();
        if named > 1 || tries > MAX_TRIES {
            return None;
        }
        let later = self.attempts.remove(second);
        self.attempts.get_mut(first)?.absorb(later);
        Some(first)
    }

    /// Whether one of its attempts has this connection, decided.
    pub(super) fn has_part(&self, connection: ConnectionId) -> bool {
        self.attempts.iter().any(|one| one.has_part(connection))
    }

    /// The attempt that does.
    pub(super) fn of_connection(&mut self, connection: ConnectionId) -> Option<&mut Attempt> {
        self.attempts
            .iter_mut()
            .find(|one| one.has_part(connection))
    }

    /// A connection is none that is told.
    pub(super) fn forget(&mut self, handle: Handle) {
        let Some(place) = self.place(handle) else {
            return;
        };
        let attempt = &mut self.attempts[place];
        attempt.tries.retain(|one| one.handle != handle);
        attempt.connections = attempt.connections.saturating_sub(1);
        if attempt.is_idle() {
            self.attempts.remove(place);
        }
    }

    /// Hands out the attempts that are over by now; when the next may be. Rivals are connections of the other family.
    pub(super) fn release(&mut self, now: u64, over: &mut Vec<Attempt>, rivals: &[Try]) -> u64 {
        let mut next = u64::MAX;
        let mut place = 0;
        while let Some(attempt) = self.attempts.get(place) {
            if attempt.is_spare && attempt.tries.is_empty() && attempt.until <= now {
                self.attempts.remove(place);
                continue;
            }
            let at = match attempt.until {
                _ if attempt.is_open() => u64::MAX,
                // Whoever else may belong to it is looked for when nothing else holds it.
                until if until > now => until,
                until => self
                    .held_until(place)
                    .max(attempt.held_by(rivals))
                    .max(until),
            };
            if at <= now {
                over.push(self.attempts.remove(place));
            } else {
                next = next.min(at);
                place += 1;
            }
        }
        next
    }

    /// Until when a connection that is undecided may turn out to belong to an attempt.
    fn held_until(&self, place: usize) -> u64 {
        let mut until = 0;
        for other in &self.attempts[place].tries {
            let attempts = self.attempts.iter().enumerate();
            let undecided =
                attempts.filter(|(other, attempt)| *other != place && attempt.is_open());
            let tries = undecided.flat_map(|(_, attempt)| &attempt.tries);
            let held = tries.filter_map(|one| rules::may_lose(one, other));
            until = until.max(held.max().unwrap_or(0));
        }
        until
    }
}
