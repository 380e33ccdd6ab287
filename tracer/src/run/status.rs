//! What the agent says of itself once a minute, so that silence and a dead agent differ.

use std::collections::BTreeMap;

use crate::{
    record::{
        Agent, AgentAction, Body, Count, Login, LossReason, Outcome, SinkStatus, Status, Text,
        Timestamp,
    },
    session::Standing,
};

/// What happened since the last status.
#[derive(Debug)]
pub(super) struct Tally {
    since: Timestamp,
    /// Connections, since the agent started.
    seen: u64,
    events: Count,
    /// Of records that came from the kernel, since the agent started.
    events_in_all: u64,
    logins: BTreeMap<Outcome, Count>,
    losses: BTreeMap<LossReason, Count>,
}

/// How things stand at this moment.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) now: Timestamp,
    pub(super) connections: Standing,
    pub(super) learned_ports: Option<u64>,
    pub(super) memory: Option<Count>,
    pub(super) sinks: BTreeMap<Text, SinkStatus>,
}

impl Tally {
    pub(super) fn new(since: Timestamp) -> Self {
        Self {
            since,
            seen: 0,
            events: Count(0),
            events_in_all: 0,
            logins: BTreeMap::new(),
            losses: BTreeMap::new(),
        }
    }

    /// Counts records that came from the kernel.
    pub(super) fn events(&mut self, count: usize) {
        self.events += count as u64;
        self.events_in_all += count as u64;
    }

    /// Records that came from the kernel, since the agent started.
    pub(super) fn events_in_all(&self) -> u64 {
        self.events_in_all
    }

    /// Counts a login, whether or not anybody asked for it.
    pub(super) fn login(&mut self, login: &Login) {
        let outcome = login.outcome.unwrap_or_default();
        *self.logins.entry(outcome).or_default() += 1;
    }

    /// Counts what else the engine tells, whether or not anybody asked for it.
    pub(super) fn told(&mut self, body: &Body) {
        if let Body::Loss(record) = body {
            *self.losses.entry(record.loss.reason).or_default() += record.loss.count;
        }
    }

    /// Tells what was counted, and begins anew.
    pub(super) fn status(&mut self, moment: Moment) -> Agent {
        let Moment {
            now,
            connections,
            learned_ports,
            memory,
            sinks,
        } = moment;
        let Self {
            since,
            seen: seen_before,
            events,
            events_in_all,
            logins,
            losses,
        } = std::mem::replace(self, Self::new(now));
        self.seen = connections.seen;
        self.events_in_all = events_in_all;
        let mut agent = Agent::new(AgentAction::Status);
        agent.status = Some(Status {
            since,
            open_connections: Count(connections.open),
            undecided: Some(Count(connections.undecided)),
            joined_late: Some(Count(connections.joined_late)),
            connections: Count(connections.seen.saturating_sub(seen_before)),
            logins,
            events,
            losses,
            learned_ports: learned_ports.map(Count),
            memory_bytes: memory,
            sinks,
        });
        agent
    }
}

/// Time of processors that this process took, seconds.
pub(super) fn processor() -> f64 {
    let taken = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    taken.tv_sec as f64 + taken.tv_nsec as f64 / 1e9
}

/// Memory of this process that is in use, bytes.
pub(super) fn resident() -> Option<Count> {
    let pages = procfs::process::Process::myself().ok()?.statm().ok()?;
    Some(Count(pages.resident.saturating_mul(procfs::page_size())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::samples;

    #[test]
    fn a_status_tells_what_happened_since_the_last_and_no_more() {
        let mut tally = Tally::new(Timestamp(1));
        let moment = |now, seen| Moment {
            now: Timestamp(now),
            connections: Standing {
                seen,
                open: 7,
                undecided: 2,
                joined_late: 3,
            },
            learned_ports: None,
            memory: None,
            sinks: BTreeMap::new(),
        };
        tally.events(40);
        for record in [samples::login(), samples::login(), samples::failed()] {
            let Body::Login(login) = &record.body else {
                unreachable!("a login")
            };
            tally.login(&login.facts.login);
        }
        tally.told(&samples::loss().body);

        let first = tally.status(moment(2, 10)).status.expect("a status");
        let logins = [(Outcome::Success, Count(2)), (Outcome::Failed, Count(1))];
        assert_eq!(first.logins, BTreeMap::from(logins));
        assert_eq!(first.losses[&LossReason::RingFull], Count(12));
        assert_eq!((first.since, first.events), (Timestamp(1), Count(40)));
        assert_eq!(
            (first.connections, first.open_connections),
            (Count(10), Count(7))
        );
        assert_eq!(
            (first.undecided, first.joined_late),
            (Some(Count(2)), Some(Count(3)))
        );

        let second = tally.status(moment(3, 12)).status.expect("a status");
        assert!(second.logins.is_empty() && second.losses.is_empty());
        assert_eq!((second.since, second.events), (Timestamp(2), Count(0)));
        assert_eq!(second.connections, Count(2));
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(resident().is_some_and(|bytes| bytes > Count(1 << 20)));
    }
}
