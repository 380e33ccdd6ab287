//! A login as far as it is shown: its texts are short and harmless.

use std::rc::Rc;

use crate::report::{
    line::{Facts, Line},
    text::{shown, words},
    waterfall::Waterfall,
};

/// How a login went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Well,
    Slow,
    Failed,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// When it was told, nanoseconds since 1970.
    pub(super) at_ns: u64,
    pub(super) id: String,
    pub(super) attempt: Option<String>,
    pub(super) host: String,
    pub(super) client: String,
    pub(super) server: String,
    pub(super) process: String,
    pub(super) application: String,
    pub(super) outcome: String,
    pub(super) error: Option<u32>,
    pub(super) took_ns: u64,
    pub(super) fate: Fate,
    /// The likeliest cause, how sure it is, and whom to call.
    pub(super) cause: Option<(String, f64, String)>,
    pub(super) partial: bool,
    pub(super) inferred: bool,
    /// Its phases.
    pub(super) fall: Waterfall,
}

impl Seen {
    /// Of a `login` line, or a `pending` one; what took longer than `slow_ns` is slow.
    pub(super) fn new(mut line: Line, slow_ns: u64) -> Option<Rc<Self>> {
        let failed = line.severity == "error";
        let at_ns = u64::try_from(line.timestamp.0).unwrap_or_default();
        let attempt = line.attempt.take().map(|attempt| shown(&attempt.id));
        let host = shown(&line.host.name);
        let facts = line.facts();
        let (connection, login) = (facts.connection.as_ref()?, facts.login.as_ref()?);
        let took_ns = login.duration_ns.unwrap_or_default();
        let slow = login.loser != Some(true) && took_ns > slow_ns;
        let cause = facts.diagnosis.first().map(|cause| {
            let whom = cause.whom.as_deref().map(shown).unwrap_or_default();
            (words(&cause.cause), cause.confidence, whom)
        });
        Some(Rc::new(Self {
            at_ns,
            id: shown(&connection.id),
            attempt,
            host,
            client: facts
                .client
                .as_ref()
                .map(|end| shown(&end.to_string()))
                .unwrap_or_default(),
            server: server(&facts),
            process: process(&facts),
            application: login.app_name.as_deref().map(shown).unwrap_or_default(),
            outcome: words(login.outcome.as_deref().unwrap_or("undecided")),
            error: login.error.map(|error| error.number),
            took_ns,
            fate: match (failed, slow) {
                (true, _) => Fate::Failed,
                (_, true) => Fate::Slow,
                _ => Fate::Well,
            },
            cause,
            partial: connection.partial,
            inferred: login.basis.as_deref() == Some("inferred"),
            fall: Waterfall::new(&facts, None),
        }))
    }

    /// The phase that took longest.
    pub(super) fn slowest_phase(&self) -> &str {
        let longest = self.fall.rows.iter().max_by_key(|row| row.duration_ns);
        longest.map_or("", |row| row.name.as_str())
    }

    /// How long the client, the network and the server were waited for, nanoseconds.
    pub(super) fn waited_ns(&self) -> [u64; 3] {
        let mut sums = [0_u64; 3];
        for row in &self.fall.rows {
            for (sum, waited) in sums.iter_mut().zip(row.waited_ns.unwrap_or_default()) {
                *sum = sum.saturating_add(waited);
            }
        }
        sums
    }
}

fn server(facts: &Facts) -> String {
    match facts.server.as_ref() {
        Some(end) => match end.instance.as_deref() {
            Some(instance) => shown(&format!("{end} ({instance})")),
            None => shown(&end.to_string()),
        },
        None => String::new(),
    }
}

/// Who logs in: the process where it is known, else what it calls itself.
fn process(facts: &Facts) -> String {
    let process = facts.process.as_ref();
    let name = process.and_then(|process| process.name.as_deref());
    let login = facts.login.as_ref();
    name.or_else(|| login.and_then(|login| login.app_name.as_deref()))
        .map(shown)
        .unwrap_or_default()
}
