//! In which trace a login is told, and by which span: by logs, spans and metrics alike.
//!
//! The trace's id is the connection's GUID, which the client sends in PRELOGIN and reports as its
//! `ClientConnectionId`: so the agents of both hosts write the same trace. Ids of spans follow from the connection, the
//! host and the part, so that what comes twice is the same span.

use foldhash::fast::RandomState;
use indexmap::IndexMap;
use sha2::{Digest as _, Sha256};

use super::Text;

/// Connections and attempts whose traces are remembered.
const REMEMBERED: usize = 8192;

/// A trace's name.
pub type TraceId = [u8; 16];
/// A span's name within its trace.
pub type SpanId = [u8; 8];

/// What is remembered of a connection or an attempt.
#[derive(Clone, Debug)]
pub struct Known {
    /// The trace in which it was told.
    pub trace: TraceId,
    /// The server that a connection goes to, or the first one of an attempt, where that was said.
    pub server: Text,
}

/// The traces of connections and attempts that were told, by their ids; the oldest are forgotten.
#[derive(Debug, Default)]
pub struct Traces(IndexMap<u64, Known, RandomState>);

impl Traces {
    /// What is known of a connection or an attempt.
    pub fn get(&self, id: u64) -> Option<&Known> {
        self.0.get(&id)
    }

    /// The trace of a login: that of its attempt where one is known, else by the connection's GUID as it is written,
    /// else one that follows from the attempt or the connection. It is remembered for both.
    pub fn login(
        &mut self,
        connection: u64,
        attempt: Option<u64>,
        guid: Option<&str>,
        server: &str,
    ) -> TraceId {
        let known = attempt.and_then(|id| self.get(id));
        let trace = known
            .map(|known| known.trace)
            .or_else(|| guid.and_then(of_guid))
            .unwrap_or_else(|| of_id(attempt.unwrap_or(connection)));
        self.remember(connection, trace, server);
        if let Some(attempt) = attempt.filter(|id| self.get(*id).is_none()) {
            self.remember(attempt, trace, server);
        }
        trace
    }

    /// The trace of an attempt: that in which the first of its connections was told, or the attempt itself.
    pub fn attempt(&self, id: u64, connections: impl IntoIterator<Item = u64>) -> TraceId {
        let mut told = connections.into_iter().filter_map(|id| self.get(id));
        let known = told.next().or_else(|| self.get(id));
        known.map_or_else(|| of_id(id), |known| known.trace)
    }

    fn remember(&mut self, id: u64, trace: TraceId, server: &str) {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&id) {
            // Half at once: one by one would move all that are left each time.
            self.0.drain(..REMEMBERED / 2);
        }
        let server = Text::from(server);
        self.0.insert(id, Known { trace, server });
    }
}

/// The span of a part of a connection or of an attempt, as this host tells it.
pub fn span(id: u64, host: &str, part: &str) -> SpanId {
    short(&hash([&format!("{id:016x}"), "span", host, part]))
}

/// The root that this host's spans of a trace have.
pub fn root(trace: &TraceId, host: &str) -> SpanId {
    let mut hasher = Sha256::new();
    hasher.update(trace);
    hasher.update(host.as_bytes());
    short(&hasher.finalize())
}

fn of_id(id: u64) -> TraceId {
    hash([&format!("{id:016x}"), "trace", "", ""])
}

/// The bytes of a GUID in the order in which it is written.
fn of_guid(text: &str) -> Option<TraceId> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let number = u128::from_str_radix(&digits, 16).ok()?;
    (digits.len() == 32 && number > 0).then(|| number.to_be_bytes())
}

fn hash(parts: [&str; 4]) -> [u8; 16] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut long = [0; 16];
    long.copy_from_slice(&hasher.finalize()[..16]);
    long
}

fn short(long: &[u8]) -> SpanId {
    let mut short = [0; 8];
    short.copy_from_slice(&long[..8]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "6F9619FF-8B86-D011-B42D-00C04FC964FF";

    #[test]
    fn the_guid_is_the_trace_as_it_is_written() {
        let trace = Traces::default().login(1, None, Some(GUID), "");
        assert_eq!(trace[..4], [0x6f, 0x96, 0x19, 0xff]);
        assert_eq!(of_guid("00000000-0000-0000-0000-000000000000"), None);
        assert_eq!(of_guid("1"), None);
    }

    #[test]
    fn all_connections_of_an_attempt_and_itself_are_in_the_trace_of_the_first() {
        let mut traces = Traces::default();
        let first = traces.login(1, Some(9), Some(GUID), "");
        assert_eq!(traces.login(2, Some(9), None, ""), first);
        assert_eq!(traces.attempt(9, [1, 2]), first);
        assert_ne!(traces.attempt(8, []), first);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut traces = Traces::default();
        for id in 0..3 * REMEMBERED as u64 {
            traces.login(id, None, None, "");
        }
        assert!(traces.0.len() <= REMEMBERED);
        assert!(traces.get(0).is_none());
    }
}
