//! Which records are said.

use std::str::FromStr;

use crate::record::{Body, Event, Login, LookupOutcome, Nanos, Record};

/// A set of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSet(u16);

impl EventSet {
    const NONE: Self = Self(0);

    /// Every event.
    pub const ALL: Self = Self((1 << Event::ALL.len()) - 1);

    fn bit(event: Event) -> u16 {
        1 << (event as u16)
    }

    /// Whether the event is in the set.
    pub fn contains(self, event: Event) -> bool {
        self.0 & Self::bit(event) != 0
    }

    fn with(self, event: Event) -> Self {
        Self(self.0 | Self::bit(event))
    }

    fn without(self, event: Event) -> Self {
        Self(self.0 & !Self::bit(event))
    }
}

/// All but those that are many per connection: `phase` and `request`.
impl Default for EventSet {
    fn default() -> Self {
        Self::ALL.without(Event::Phase).without(Event::Request)
    }
}

/// A list of events that can not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventSetError {
    /// A name that no event has.
    #[error(
        "no event is named `{0}`: use login, pending, close, phase, request, mars, lookup, attempt, incident, loss, agent or all"
    )]
    Unknown(String),
    /// Both kinds of list in one.
    #[error(
        "`{0}` mixes names with and without a sign: use either `login,close` or `+phase,-close`"
    )]
    Mixed(String),
    /// Nothing would be said.
    #[error("no event is left: name one at least, such as `login`")]
    Empty,
}

/// `login,close` names the whole set; `+phase,-close` changes the default one.
impl FromStr for EventSet {
    type Err = EventSetError;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        let items: Vec<&str> = list
            .split(',')
            .map(str::trim)
            .filter(|i| !i.is_empty())
            .collect();
        let signed = |item: &&str| item.starts_with(['+', '-']);
        let changes = items.iter().all(signed);
        if !changes && items.iter().any(signed) {
            return Err(EventSetError::Mixed(list.to_owned()));
        }
        let start = if changes && !items.is_empty() {
            Self::default()
        } else {
            Self::NONE
        };
        let set = items
            .iter()
            .try_fold(start, |set, item| change(set, item))?;
        if set == Self::NONE {
            Err(EventSetError::Empty)
        } else {
            Ok(set)
        }
    }
}

fn change(set: EventSet, item: &str) -> Result<EventSet, EventSetError> {
    let name = item.trim_start_matches(['+', '-']);
    let events = named(name).ok_or_else(|| EventSetError::Unknown(name.to_owned()))?;
    let change = if item.starts_with('-') {
        EventSet::without
    } else {
        EventSet::with
    };
    Ok(events.iter().fold(set, |set, &event| change(set, event)))
}

fn named(name: &str) -> Option<&'static [Event]> {
    if name == "all" {
        return Some(Event::ALL);
    }
    let at = Event::ALL.iter().position(|event| event.as_str() == name)?;
    Event::ALL.get(at..=at)
}

/// Which records are said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only these events.
    pub events: EventSet,
    /// Of logins, closes, lookups and attempts only those that took longer than this, or failed;
    /// of closes those whose login did.
    pub slow: Option<Nanos>,
}

impl Filter {
    /// Whether anybody asked for the event: what nobody asked for need not be made.
    pub fn wants(&self, event: Event) -> bool {
        self.events.contains(event)
    }

    /// Whether a `login` like this is said: the same question as [`Filter::passes`], before anybody
    /// builds the record.
    pub fn wants_login(&self, login: &Login) -> bool {
        let mut limit = self.slow.iter();
        self.wants(Event::Login) && limit.all(|limit| login_is_notable(login, *limit))
    }

    /// Whether the record is said.
    pub fn passes(&self, record: &Record) -> bool {
        let Record { timestamp: _, body } = record;
        self.wants(body.event()) && self.slow.is_none_or(|limit| is_notable(body, limit))
    }
}

fn is_notable(body: &Body, limit: Nanos) -> bool {
    match body {
        Body::Login(login) => login_is_notable(&login.facts.login, limit),
        Body::Close(close) => login_is_notable(&close.facts.login, limit),
        Body::Lookup(record) => {
            record.lookup.outcome != LookupOutcome::Answered || record.lookup.duration_ns > limit
        }
        Body::Attempt(record) => record.attempt.failed() || record.attempt.duration_ns > limit,
        Body::Pending(_)
        | Body::Phase(_)
        | Body::Request(_)
        | Body::Mars(_)
        | Body::Incident(_)
        | Body::Loss(_)
        | Body::Agent(_) => true,
    }
}

fn login_is_notable(login: &Login, limit: Nanos) -> bool {
    login.failed() || login.duration_ns.is_some_and(|duration| duration > limit)
}

#[cfg(test)]
mod tests {
    use super::{EventSet, EventSetError, Filter};
    use crate::record::{Body, Event, Login, Nanos, Outcome, Stranger, samples};

    fn set(list: &str) -> EventSet {
        list.parse().expect("a set")
    }

    #[test]
    fn by_default_phases_and_requests_are_not_said() {
        let filter = Filter::default();
        let said: Vec<Event> = samples::all()
            .iter()
            .filter(|record| filter.passes(record))
            .map(|record| record.body.event())
            .collect();
        assert!(said.contains(&Event::Login) && said.contains(&Event::Loss));
        assert!(!said.contains(&Event::Phase) && !said.contains(&Event::Request));
    }

    #[test]
    fn names_with_signs_change_the_default_and_names_without_replace_it() {
        assert!(set("+phase").contains(Event::Login));
        assert!(set("+phase").contains(Event::Phase));
        assert!(!set("-close").contains(Event::Close));
        assert!(set("login").contains(Event::Login));
        assert!(!set("login").contains(Event::Close));
        assert_eq!(set("all"), EventSet::ALL);
    }

    #[test]
    fn lists_that_can_not_be_meant_are_refused() {
        let error = |list: &str| list.parse::<EventSet>().expect_err("an error");
        assert_eq!(error("logn"), EventSetError::Unknown("logn".to_owned()));
        assert_eq!(
            error("login,+phase"),
            EventSetError::Mixed("login,+phase".to_owned())
        );
        assert_eq!(error(""), EventSetError::Empty);
        assert_eq!(error("-all"), EventSetError::Empty);
    }

    #[test]
    fn slow_keeps_slow_logins_failed_ones_and_their_closes() {
        let duration = 8_777_871;
        let slow = |limit| Filter {
            slow: Some(Nanos(limit)),
            ..Filter::default()
        };
        assert!(slow(duration - 1).passes(&samples::login()));
        assert!(slow(duration - 1).passes(&samples::close()));
        assert!(!slow(duration).passes(&samples::login()));
        assert!(!slow(duration).passes(&samples::close()));
        assert!(slow(duration).passes(&samples::failed()));
        assert!(slow(duration).passes(&samples::refused()));
        assert!(slow(duration).passes(&samples::pending()));
        assert!(slow(duration).passes(&samples::loss()));
    }

    #[test]
    fn a_probe_without_data_and_an_unknown_outcome_have_not_failed() {
        let filter = Filter {
            slow: Some(Nanos(1_000_000_000)),
            ..Filter::default()
        };
        let mut record = samples::refused();
        let Body::Login(login) = &mut record.body else {
            unreachable!("a login")
        };
        login.facts.login.outcome = Some(Outcome::Unknown);
        assert!(!filter.passes(&record));
        let Body::Login(login) = &mut record.body else {
            unreachable!("a login")
        };
        login.facts.login.outcome = Some(Outcome::Aborted);
        login.facts.login.stranger = Some(Stranger::Silent);
        assert!(!filter.passes(&record));
    }

    #[test]
    fn what_the_server_ended_is_said_whoever_it_was() {
        let filter = Filter {
            slow: Some(Nanos(1_000_000_000)),
            ..Filter::default()
        };
        for outcome in [Outcome::Reset, Outcome::Closed, Outcome::Timeout] {
            let login = Login {
                outcome: Some(outcome),
                stranger: Some(Stranger::Silent),
                ..Login::default()
            };
            assert!(filter.wants_login(&login));
        }
    }

    #[test]
    fn asked_before_the_record_is_built_the_filter_says_the_same_as_after() {
        let limits = [None, Some(Nanos(8_777_870)), Some(Nanos(8_777_871))];
        let events = ["all", "close"].map(set);
        for record in [samples::login(), samples::failed(), samples::refused()] {
            let Body::Login(login) = &record.body else {
                unreachable!("a login")
            };
            let login = &login.facts.login;
            for (slow, events) in limits
                .iter()
                .flat_map(|slow| events.map(|set| (*slow, set)))
            {
                let filter = Filter { events, slow };
                let before = filter.wants_login(login);
                assert_eq!(before, filter.passes(&record), "{filter:?}");
            }
        }
    }
}
