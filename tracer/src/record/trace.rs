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
    /// The trace is a connection's GUID, which others know too.
    by_guid: bool,
}

/// Whose trace it is: an attempt may have the id of its first connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    Connection(u64),
    Attempt(u64),
}

/// The traces of connections and attempts that were told, by their ids; the oldest are forgotten.
#[derive(Debug, Default)]
pub struct Traces(IndexMap<Of, Known, RandomState>);

impl Traces {
    /// What is known of a connection.
    pub fn connection(&self, id: u64) -> Option<&Known> {
        self.0.get(&Of::Connection(id))
    }

    /// What is known of an attempt.
    pub fn of_attempt(&self, id: u64) -> Option<&Known> {
        self.0.get(&Of::Attempt(id))
    }

    /// The trace of a login: that of its attempt where it is a GUID, else by the connection's GUID as it is written,
    /// else that of its attempt, or one that follows from the attempt or the connection. It is remembered for both.
    pub fn login(
        &mut self,
        connection: u64,
        attempt: Option<u64>,
        guid: Option<&str>,
        server: &str,
    ) -> TraceId {
        let before = attempt.and_then(|id| self.of_attempt(id));
        let given = guid.and_then(of_guid);
        let known = Known {
            trace: before
                .filter(|before| before.by_guid || given.is_none())
                .map(|before| before.trace)
                .or(given)
                .unwrap_or_else(|| of_id(attempt.unwrap_or(connection))),
            server: Text::from(server),
            by_guid: given.is_some() || before.is_some_and(|before| before.by_guid),
        };
        let trace = known.trace;
        if let Some(attempt) = attempt {
            let server = before.map_or(&known.server, |before| &before.server);
            let server = server.clone();
            self.remember(
                Of::Attempt(attempt),
                Known {
                    server,
                    ..known.clone()
                },
            );
        }
        self.remember(Of::Connection(connection), known);
        trace
    }

    /// The trace of an attempt: that in which the first of its connections was told that has a GUID, or else the first
    /// one, or the attempt itself.
    pub fn attempt(&self, id: u64, connections: impl IntoIterator<Item = u64>) -> TraceId {
        let told = connections.into_iter().filter_map(|id| self.connection(id));
        let known: Vec<_> = told.chain(self.of_attempt(id)).collect();
        let by_guid = known.iter().find(|known| known.by_guid);
        let known = by_guid.or(known.first());
        known.map_or_else(|| of_id(id), |known| known.trace)
    }

    fn remember(&mut self, of: Of, known: Known) {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(&of) {
            // Half at once: one by one would move all that are left each time.
            self.0.drain(..REMEMBERED / 2);
        }
        self.0.insert(of, known);
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
    fn both_hosts_tell_a_login_in_the_trace_of_its_guid_also_where_one_has_told_a_lost_race_before()
    {
        // A client tells what it gave up, which has sent nothing, before what was faster; its attempt has that one's id.
        let (mut client, mut server) = (Traces::default(), Traces::default());
        let lost = client.login(1, Some(1), None, "first");
        let won = client.login(2, Some(1), Some(GUID), "second");
        assert_eq!(won, server.login(7, None, Some(GUID), ""));
        assert_ne!(won, lost);
        for parts in [[1, 2], [2, 1]] {
            assert_eq!(client.attempt(1, parts), won);
        }
        let told = |id| client.connection(id).map(|known| known.trace);
        assert_eq!((told(1), told(2)), (Some(lost), Some(won)));
        let first = client.of_attempt(1).map(|known| known.server.to_string());
        assert_eq!(first.as_deref(), Some("first"));
        assert_eq!(client.login(3, Some(1), None, ""), won);
    }

    #[test]
    fn where_a_server_redirects_the_first_guid_is_the_trace_of_all() {
        let mut traces = Traces::default();
        let first = traces.login(1, Some(9), Some(GUID), "");
        let other = "0F9619FF-8B86-D011-B42D-00C04FC964FF";
        assert_eq!(traces.login(2, Some(9), Some(other), ""), first);
        assert_eq!(traces.attempt(9, [1, 2]), first);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut traces = Traces::default();
        for id in 0..3 * REMEMBERED as u64 {
            traces.login(id, None, None, "");
        }
        assert!(traces.0.len() <= REMEMBERED);
        assert!(traces.connection(0).is_none());
    }
}
