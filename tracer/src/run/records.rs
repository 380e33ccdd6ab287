//! Where the engine's records go, and what this host answers when it asks.

use std::net::IpAddr;

use super::{
    named::Named,
    ports::{Source as Learned, Word},
    status::Tally,
    witnesses,
};
use crate::{
    host::Witness,
    metrics::Metrics,
    probe::Drops,
    record::{Login, Record, Side, Text},
    recorder::Recorder,
    session::{Decided, DropFacts, HostFacts, Listener, ProcessFacts, Question, ResetFacts},
    sink::{Outputs, Sent},
};

/// Where the engine's records go.
pub(super) struct Records {
    pub(super) output: Outputs,
    /// They are counted there, whoever else asks for them.
    pub(super) metrics: Option<Metrics>,
    pub(super) decided: Vec<Decided>,
    /// Where SQL Server is said to be.
    pub(super) words: Vec<Word>,
    pub(super) tally: Tally,
    pub(super) closed: bool,
    /// What this host has to say of logins.
    pub(super) witness: Witness,
    /// Packets that its kernel has thrown away, where that says so.
    pub(super) drops: Option<Drops>,
    /// The processes that are watched for what shows no packet.
    pub(super) named: Named,
    /// What is kept of packets.
    pub(super) recorder: Option<Recorder>,
}

impl Listener for Records {
    fn login(&mut self, login: &Login) -> bool {
        self.tally.login(login);
        if let Some(redirect) = &login.redirect {
            self.words.push(Word {
                port: redirect.port,
                address: redirect.address.parse().ok(),
                source: Learned::Redirect,
            });
        }
        let wanted = self.metrics.is_some() || self.recorder.is_some();
        wanted || self.output.wants_login(login)
    }

    fn host(&mut self, question: &Question<'_>) -> HostFacts {
        let mut facts = self.witness.says(question);
        if let Some(drops) = &self.drops {
            facts.dropped = dropped(drops, question);
            facts.resets = resets(drops, question);
        }
        facts
    }

    fn process(&mut self, pid: u32, within: (u64, u64)) -> ProcessFacts {
        self.witness.ran(pid, within)
    }

    fn record(&mut self, record: Record) {
        self.tally.told(&record.body);
        if let Some(metrics) = &mut self.metrics {
            metrics.record(&record);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.said(&record);
        }
        self.closed |= self.output.send(record) == Sent::Closed;
    }

    fn announced(&mut self, server: (IpAddr, u16)) {
        self.words.push(Word::of(server, Learned::SqlBrowser));
    }

    /// The login has said so, by name or address.
    fn redirected(&mut self, _: IpAddr, _: (Option<IpAddr>, u16)) {}

    fn served(&mut self, server: (IpAddr, u16)) {
        self.words.push(Word::of(server, Learned::Traffic));
    }

    fn decided(&mut self, decided: Decided) {
        self.witness.decided(witnesses::ends(&decided.key));
        self.decided.push(decided);
    }
}

/// An end of a connection.
type End = (IpAddr, u16);

/// Both ways of a login's packets: whose they are, from where and where to.
fn ways(question: &Question<'_>) -> [(Side, End, End); 2] {
    let (client, server) = (question.client, question.server);
    [
        (Side::Client, client, server),
        (Side::Server, server, client),
    ]
}

/// Why this host's kernel has reset a login's connection, for either side.
fn resets(drops: &Drops, question: &Question<'_>) -> Vec<ResetFacts> {
    let resets = ways(question).into_iter().filter_map(|(by, from, to)| {
        let reason = Text::from(drops.reset(from, to, question.from)?);
        Some(ResetFacts { by, reason })
    });
    resets.collect()
}

/// Packets of a login that this host's kernel has thrown away, those of either side.
fn dropped(drops: &Drops, question: &Question<'_>) -> Vec<DropFacts> {
    let dropped = ways(question).into_iter().filter_map(|(of, from, to)| {
        let loss = drops.of(from, to, question.from)?;
        Some(DropFacts {
            of,
            count: loss.count,
            reason: Text::from(loss.reason.as_str()),
        })
    });
    dropped.collect()
}
