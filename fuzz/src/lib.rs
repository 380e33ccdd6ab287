//! What several fuzz targets share.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use tracer::{
    record::{
        AttemptId, AttemptRecord, Body, ConnectionFacts, ConnectionId, LossReason, LossRecord,
        PartialReason, PhaseName, Record,
    },
    session::{Decided, Listener, Standing},
};

/// Hears the engine, and holds it to its word.
#[derive(Debug, Default)]
pub struct Heard {
    /// Logins decided since somebody last looked.
    pub decided: Vec<Decided>,
    /// Where SQL Server listens, by what SQL Browser has said since then.
    pub announced: Vec<(IpAddr, u16)>,
    /// Logins whose connection is open, by address, port and start.
    open: HashMap<String, u64>,
    /// Pending logins, the same.
    pending: HashMap<String, u64>,
    closes: u64,
    /// Connections whose login names an attempt that was not told yet, by that and their own name.
    attempted: HashSet<(AttemptId, ConnectionId)>,
    /// Connections of strangers that were counted instead of told.
    suppressed: u64,
}

impl Listener for Heard {
    fn record(&mut self, record: Record) {
        let written = record.to_line("host", &mut Vec::new());
        assert!(written.is_ok(), "{record:?} cannot be written");
        match &record.body {
            Body::Pending(pending) => {
                assert_adds_up(&pending.facts);
                *self.pending.entry(name(&pending.facts)).or_default() += 1;
            }
            Body::Login(login) => {
                assert_adds_up(&login.facts);
                let name = name(&login.facts);
                if let Some(attempt) = &login.facts.attempt {
                    let member = (attempt.id, login.facts.connection.id);
                    self.attempted.insert(member);
                }
                let pending = self.pending.remove(&name).unwrap_or_default();
                assert!(pending < 2, "a login is told as pending once");
                *self.open.entry(name).or_default() += 1;
            }
            Body::Attempt(AttemptRecord { attempt, .. }) => {
                let ids = attempt.parts.iter().filter_map(|part| part.connection_id);
                let ids: Vec<_> = ids.collect();
                assert_eq!(attempt.connections as usize, ids.len(), "{attempt:#?}");
                assert!(
                    attempt.unexplained_ns <= attempt.duration_ns,
                    "{attempt:#?}"
                );
                for id in ids {
                    self.attempted.remove(&(attempt.id, id));
                }
            }
            Body::Close(close) => {
                self.closes += 1;
                let facts = &close.facts;
                if facts.login.outcome.is_none() {
                    let late = &facts.connection.partial_reasons;
                    assert!(
                        late.contains(&PartialReason::JoinedLate),
                        "no login: {facts:#?}"
                    );
                    return;
                }
                let open = self.open.get_mut(&name(facts));
                let Some(open) = open.filter(|open| **open > 0) else {
                    panic!("a close without its login: {facts:#?}");
                };
                *open -= 1;
            }
            Body::Loss(LossRecord { loss }) if loss.reason == LossReason::StrangerSuppressed => {
                self.suppressed += loss.count.0;
            }
            _ => {}
        }
    }

    fn announced(&mut self, server: (IpAddr, u16)) {
        self.announced.push(server);
    }

    fn decided(&mut self, decided: Decided) {
        self.decided.push(decided);
    }
}

impl Heard {
    /// Every connection had one close, and before it one login unless that was over before anybody
    /// watched; or it was a stranger's too many.
    pub fn assert_complete(&self, standing: Standing) {
        let none = Standing {
            seen: self.closes + self.suppressed,
            ..Standing::default()
        };
        assert_eq!(standing, none);
        assert!(self.open.values().all(|open| *open == 0));
        assert!(self.attempted.is_empty(), "{:#?}", self.attempted);
        assert!(
            self.pending.is_empty(),
            "a pending login is decided in the end"
        );
    }
}

/// Phases add up to the login, and so do the waits; where something was missed they may leave gaps.
fn assert_adds_up(facts: &ConnectionFacts) {
    let Some(whole) = facts.login.duration_ns else {
        return;
    };
    let reasons = &facts.connection.partial_reasons;
    let missed = [PartialReason::Gap, PartialReason::EventsLost];
    let exact = !missed.iter().any(|reason| reasons.contains(reason));
    let phases = PhaseName::LOGIN.map(|name| facts.phases.of(name));
    let sum: u64 = phases
        .into_iter()
        .flatten()
        .map(|phase| phase.duration_ns.0)
        .sum();
    assert!(sum <= whole.0, "phases exceed the login: {facts:#?}");
    assert!(
        sum == whole.0 || !exact,
        "phases add up to the login: {facts:#?}"
    );
    let login = &facts.login;
    let waits = [login.client_ns, login.server_ns, login.network_ns];
    if let [Some(client), Some(server), Some(network)] = waits {
        assert_eq!(
            client + server + network,
            whole,
            "so do the waits: {facts:#?}"
        );
    }
}

fn name(facts: &ConnectionFacts) -> String {
    format!(
        "{:?} {:?} {:?}",
        facts.client, facts.server.port, facts.connection.start
    )
}
