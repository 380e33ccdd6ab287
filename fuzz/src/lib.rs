//! What several fuzz targets share.

use std::collections::HashMap;

use tracer::{
    record::{Body, LossReason, LossRecord, PhaseName, Record},
    session::Listener,
};
use tracer_ebpf::flow::FlowKey;

/// Hears the engine, and holds it to its word.
#[derive(Debug, Default)]
pub struct Heard {
    /// Logins decided since somebody last looked.
    pub decided: Vec<(FlowKey, u64)>,
    /// Logins and closes by connection: address, port and start.
    open: HashMap<String, u64>,
    logins: u64,
    closes: u64,
    /// Connections of strangers that were counted instead of told.
    suppressed: u64,
}

impl Listener for Heard {
    fn record(&mut self, record: Record) {
        let written = record.to_line("host", &mut Vec::new());
        assert!(written.is_ok(), "{record:?} cannot be written");
        match &record.body {
            Body::Login(login) => {
                self.logins += 1;
                *self.open.entry(name(&login.facts)).or_default() += 1;
                let facts = &login.facts;
                if let Some(whole) = facts.login.duration_ns {
                    let phases = PhaseName::LOGIN.map(|name| facts.phases.of(name));
                    let sum: u64 = phases
                        .into_iter()
                        .flatten()
                        .map(|phase| phase.duration_ns.0)
                        .sum();
                    assert_eq!(sum, whole.0, "phases add up to the login: {facts:#?}");
                    let login = &facts.login;
                    let waits = [login.client_ns, login.server_ns, login.network_ns];
                    if let [Some(client), Some(server), Some(network)] = waits {
                        assert_eq!(client + server + network, whole, "so do the waits: {facts:#?}");
                    }
                }
            }
            Body::Close(close) => {
                self.closes += 1;
                let open = self.open.get_mut(&name(&close.facts));
                let Some(open) = open.filter(|open| **open > 0) else {
                    panic!("a close without its login");
                };
                *open -= 1;
            }
            Body::Loss(LossRecord { loss }) if loss.reason == LossReason::StrangerSuppressed => {
                self.suppressed += loss.count.0;
            }
            _ => {}
        }
    }

    fn decided(&mut self, key: FlowKey, born: u64) {
        self.decided.push((key, born));
    }
}

impl Heard {
    /// Every connection had one login and one close, or was a stranger's too many.
    pub fn assert_complete(&self, connections: u64) {
        let told = connections - self.suppressed;
        assert_eq!((self.logins, self.closes), (told, told));
        assert!(self.open.values().all(|open| *open == 0));
    }
}

fn name(facts: &tracer::record::ConnectionFacts) -> String {
    format!(
        "{:?} {:?} {:?}",
        facts.client, facts.server.port, facts.connection.start
    )
}
