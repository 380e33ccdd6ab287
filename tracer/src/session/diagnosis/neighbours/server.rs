//! The logins to one server.

use std::{collections::VecDeque, net::IpAddr};

use super::{
    Around, Me, Wait,
    client::{count, keep},
    usual::Usual,
};
use crate::{
    record::{AuthKind, Outcome, PhaseName},
    session::baselines::ServerBaseline,
};

const SECOND: u64 = 1_000_000_000;
/// Logins in flight that are followed; of more than these enough is known.
const MAX_FLIGHTS: usize = 256;
/// Logins that are over, and remembered.
const MAX_PAST: usize = 64;
/// What ended the same way within this time did so for the same reason.
const LATELY: u64 = 10 * SECOND;
/// Waits of logins that ended longer ago say nothing of this one.
const RECENT: u64 = 120 * SECOND;
/// Waits that are shorter are none.
const SHORT: u64 = 20_000_000;
/// Answers that are no further apart came at one moment.
const MOMENT: u64 = 50_000_000;

/// A login in flight.
#[derive(Clone, Copy, Debug)]
struct Flight {
    phase: PhaseName,
    /// Since when the server owes an answer.
    asked: Option<u64>,
    /// How many waited in that phase then.
    ahead: u16,
    longest: Option<Wait>,
}

/// A login that is over.
#[derive(Clone, Copy, Debug)]
struct Past {
    started: u64,
    ended: u64,
    wait: Option<Wait>,
    kind: AuthKind,
    outcome: Option<Outcome>,
    syn_again: bool,
    resent: bool,
    strict: bool,
}

/// A server.
#[derive(Debug)]
pub(super) struct Server {
    address: (IpAddr, u16),
    last: u64,
    flights: Vec<Option<Flight>>,
    past: VecDeque<Past>,
    usual: [Usual; PhaseName::LOGIN.len()],
    round_trip: Usual,
}

impl Flight {
    /// Its longest wait up to now.
    fn wait(&self, now: u64) -> Option<Wait> {
        let open = self.asked.map(|asked| Wait {
            phase: self.phase,
            asked,
            until: now.max(asked),
            answered: false,
            ahead: self.ahead,
        });
        open.into_iter().chain(self.longest).max_by_key(Wait::took)
    }
}

impl Server {
    pub(super) fn new(address: (IpAddr, u16), now: u64) -> Self {
        Self {
            address,
            last: now,
            flights: Vec::new(),
            past: VecDeque::new(),
            usual: Default::default(),
            round_trip: Usual::default(),
        }
    }

    pub(super) const fn address(&self) -> (IpAddr, u16) {
        self.address
    }

    pub(super) const fn last(&self) -> u64 {
        self.last
    }

    /// What is usual, as it is kept.
    pub(super) fn baseline(&self) -> ServerBaseline {
        let phases = PhaseName::LOGIN.iter().zip(&self.usual);
        let known = phases.map(|(name, usual)| (name.as_str().to_owned(), usual.kept()));
        ServerBaseline {
            address: self.address.0,
            port: self.address.1,
            phases: known.filter(|(_, kept)| !kept.is_empty()).collect(),
            round_trip: self.round_trip.kept(),
        }
    }

    /// What was usual before; whether all of it could be read.
    pub(super) fn learn(&mut self, kept: &ServerBaseline) -> bool {
        let mut whole = true;
        for (phase, buckets) in &kept.phases {
            let place = PhaseName::LOGIN
                .iter()
                .position(|name| name.as_str() == phase);
            match place.zip(Usual::read(buckets)) {
                Some((place, usual)) => self.usual[place] = usual,
                None => whole = false,
            }
        }
        match Usual::read(&kept.round_trip) {
            Some(usual) => self.round_trip = usual,
            None => whole = false,
        }
        whole
    }

    /// Whether nobody logs in.
    pub(super) fn is_quiet(&self) -> bool {
        self.flights.iter().all(Option::is_none)
    }

    pub(super) fn enter(&mut self, started: u64) -> Option<usize> {
        self.last = self.last.max(started);
        let new = Flight {
            phase: PhaseName::Handshake,
            asked: None,
            ahead: 0,
            longest: None,
        };
        let free = self.flights.iter().position(Option::is_none);
        match free {
            Some(place) => self.flights[place] = Some(new),
            None if self.flights.len() < MAX_FLIGHTS => self.flights.push(Some(new)),
            None => return None,
        }
        Some(free.unwrap_or(self.flights.len() - 1))
    }

    pub(super) fn stands(&mut self, place: usize, phase: PhaseName, asked: Option<u64>, now: u64) {
        let ahead = match asked {
            Some(_) => self.waiting(place, phase),
            None => 0,
        };
        let Some(Some(flight)) = self.flights.get_mut(place) else {
            return;
        };
        if flight.asked.is_some() && flight.asked != asked {
            let ended = flight.wait(now).map(|wait| Wait {
                answered: true,
                ..wait
            });
            flight.longest = ended;
        }
        if flight.asked != asked {
            flight.ahead = ahead;
        }
        (flight.phase, flight.asked) = (phase, asked);
    }

    /// How many others wait in a phase.
    fn waiting(&self, place: usize, phase: PhaseName) -> u16 {
        let others = self.others(place);
        let waiting = others.filter(|other| other.asked.is_some() && other.phase == phase);
        u16::try_from(waiting.count()).unwrap_or(u16::MAX)
    }

    /// How many others waited when a login asked for what it waits for the longest.
    pub(super) fn ahead(&self, place: usize, phase: PhaseName) -> u16 {
        let Some(Some(flight)) = self.flights.get(place) else {
            return 0;
        };
        let wait = flight.wait(self.last);
        wait.filter(|wait| wait.phase == phase)
            .map_or(flight.ahead, |wait| wait.ahead)
    }

    fn others(&self, place: usize) -> impl Iterator<Item = &Flight> {
        let all = self.flights.iter().enumerate();
        let others = all.filter(move |(other, _)| *other != place);
        others.filter_map(|(_, flight)| flight.as_ref())
    }

    pub(super) fn leave(&mut self, place: usize, me: &Me, waits: &[(PhaseName, u64)]) {
        self.last = self.last.max(me.now);
        self.forget(place);
        let past = Past {
            started: me.started,
            ended: me.now,
            wait: me.wait,
            kind: me.kind,
            outcome: me.outcome,
            syn_again: me.syn_again,
            resent: me.resent,
            strict: me.strict,
        };
        keep(&mut self.past, past, MAX_PAST);
        if me.outcome.is_some_and(Outcome::is_good) {
            for (phase, took) in waits {
                let place = PhaseName::LOGIN.iter().position(|name| name == phase);
                if let Some(at) = place {
                    self.usual[at].add(*took);
                }
            }
            me.round_trip
                .into_iter()
                .for_each(|rtt| self.round_trip.add(rtt));
        }
    }

    pub(super) fn forget(&mut self, place: usize) {
        if let Some(flight) = self.flights.get_mut(place) {
            *flight = None;
        }
        while self.flights.pop_if(|flight| flight.is_none()).is_some() {}
        // Room for a crowd is given back once that has gone.
        if self.flights.is_empty() {
            self.flights.shrink_to(16);
        }
    }

    pub(super) fn describe(&self, place: usize, me: &Me, into: &mut Around) {
        into.in_flight = count(self.others(place).count());
        into.usual = self.usual.each_ref().map(Usual::typical);
        into.usual_round_trip = self.round_trip.median();
        self.describe_ends(me, into);
        if let Some(wait) = me.wait {
            into.phase = Some(wait.phase);
            into.ahead = wait.ahead.into();
            self.describe_stalls(place, me.now, &wait, into);
            self.describe_alike(me, &wait, into);
        }
    }

    fn describe_ends(&self, me: &Me, into: &mut Around) {
        let since = me.now.saturating_sub(LATELY);
        let is_good = |past: &Past| past.outcome.is_some_and(Outcome::is_good);
        let is_lately = |past: &Past| past.ended >= since;
        let is_same = |past: &Past| !is_good(past) && past.outcome == me.outcome;
        let mut past = self.past.iter();
        let first = past.find(|past| is_lately(past) && is_same(past));
        let first = first.map_or(u64::MAX, |past| past.started);
        for past in &self.past {
            let good = is_good(past);
            into.good_strict += u32::from(good && past.strict);
            into.good_plain += u32::from(good && !past.strict);
            if !is_lately(past) {
                continue;
            }
            into.good += u32::from(good);
            into.good_between += u32::from(good && past.started > first);
            into.same_end += u32::from(!good && past.outcome == me.outcome);
            into.syn_again += u32::from(past.syn_again);
            into.resent += u32::from(past.resent);
        }
    }

    /// Who waited in the same phase at the same time.
    fn describe_stalls(&self, place: usize, now: u64, wait: &Wait, into: &mut Around) {
        let flying = self.others(place).filter_map(|flight| flight.wait(now));
        let past = self.past.iter().filter_map(|past| past.wait);
        let moment = MOMENT.max(wait.took() / 20);
        let mut answered = Vec::new();
        let mut overtaken = 0;
        let mut shortest = wait.took();
        for other in flying.chain(past).filter(|other| other.phase == wait.phase) {
            let overlaps = other.asked < wait.until && other.until > wait.asked;
            let took = other.took();
            let gap = other.asked.abs_diff(wait.asked);
            if overlaps && took >= SHORT && took >= wait.took() / 2 {
                into.stalled += 1;
                let both = other.answered && wait.answered;
                let together = both && other.until.abs_diff(wait.until) <= moment;
                let apart = gap > moment;
                // Or much further apart than they were answered.
                let closer = gap > MOMENT && other.until.abs_diff(wait.until) <= gap / 4;
                let as_long = both && took.abs_diff(wait.took()) <= wait.took() / 10;
                into.released += u32::from(together);
                into.joined += u32::from(together && (apart || closer));
                into.own_pace += u32::from(as_long && apart && !together);
            }
            if overlaps && other.answered && took >= SHORT && other.until <= wait.until {
                answered.push(other.until);
                shortest = shortest.min(took);
            }
            if overlaps && wait.answered && took >= SHORT && gap > MOMENT {
                let earlier = other.asked < wait.asked;
                let before = other.answered && other.until <= wait.until;
                into.in_order += u32::from(earlier && before);
                into.out_of_order += u32::from(!earlier && before);
                overtaken += u32::from(earlier && !before);
            }
        }
        // They went past the one that waits: not with it, and not after a wait of their own.
        let tenth = wait.took() / 10;
        let inside = |past: &&Past| {
            let later = past.started >= wait.asked.saturating_add(tenth);
            later && past.ended <= wait.until && past.ended.saturating_sub(past.started) <= tenth
        };
        let good = |past: &&Past| past.outcome.is_some_and(Outcome::is_good);
        into.passed = count(self.past.iter().filter(inside).filter(good).count());
        answered.sort_unstable();
        // Those of a crowd that is let go are answered one after the other too, within a moment.
        let is_first = answered
            .first()
            .is_none_or(|first| wait.until - first <= moment);
        into.out_of_order += if is_first { 0 } else { overtaken };
        if wait.answered {
            into.shortest = shortest;
            into.abreast = abreast(&answered, wait.until, shortest);
            let last = answered.last();
            into.after_last = last.map_or(0, |last| wait.until - last);
        }
        let step = (wait.took() / 50).max(1_000_000);
        let mut last = wait.asked;
        for at in answered {
            if at > last.saturating_add(step) {
                into.steps += 1;
                last = at;
            }
        }
        // Its own answer is the last of them.
        let own = wait.answered && wait.until <= last.saturating_add(step);
        into.steps -= u32::from(own && into.steps > 0);
    }

    /// How long logins of the same kind waited in the same phase.
    fn describe_alike(&self, me: &Me, wait: &Wait, into: &mut Around) {
        let since = me.now.saturating_sub(RECENT);
        let past = self.past.iter().filter(|past| past.ended >= since);
        let of_kind = past.filter(|past| {
            let unknown = [past.kind, me.kind].contains(&AuthKind::Unknown);
            unknown || past.kind == me.kind
        });
        let waits = of_kind.filter_map(|past| past.wait);
        let alike = waits.filter(|other| other.phase == wait.phase && other.answered);
        for other in alike.chain([*wait]) {
            into.alike.add(other.took());
            if other.ahead == 0 {
                into.alone.add(other.took());
            }
        }
    }
}

/// How many are worked on at once by somebody who answers at these moments, in their order, and then at the
/// last one, and who needs so long for each: as many as begin before the first of them is done.
fn abreast(answered: &[u64], last: u64, each: u64) -> u32 {
    let [first, _, ..] = answered else {
        return 0;
    };
    let pace = last.saturating_sub(*first) / answered.len() as u64;
    count(usize::try_from(each.checked_div(pace).unwrap_or(u64::MAX)).unwrap_or(usize::MAX))
}
