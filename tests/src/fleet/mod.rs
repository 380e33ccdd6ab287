//! A fleet that is made up: what a thousand agents write in a day on which known things go wrong.
//!
//! Its lines are those of the project's own records. What truly happened is counted beside them, so
//! that a question to a database has one right answer.

pub mod boards;
pub mod cluster;
pub mod database;
pub mod measured;
pub mod multiplied;
mod random;
mod story;
mod told;
mod truth;
pub mod world;

use std::{collections::BTreeMap, io::Write};

use anyhow::Result;
use tracer::record::{
    Affected, AffectedClient, AffectedServer, Agent, AgentAction, AgentRecord, AuthKind, Body,
    Confidence, Count, Incident, IncidentAction, IncidentId, IncidentLogin, IncidentOutcome,
    IncidentRecord, IncidentScope, LineFormat, Loss, LossReason, LossRecord, Naming, Nanos,
    Outcome, PhaseName, Record, RunId, Status, Timestamp, Whom,
};

use self::measured::Measured;
pub use self::truth::Truth;
use self::{
    story::{Story, times},
    told::{End, Teller},
    world::{
        BUSY_SERVER, CLIENT_HOSTS, LEAKING_HOST, LOSING_HOST, SERVERS, SILENT_HOST, client_address,
        client_host, server_address, server_host,
    },
};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
/// Room before the first packet, for a name that is asked twice.
const NAMES_NS: u64 = 6 * SECOND;
/// Room behind the last login, for clocks that go wrong.
const CLOCKS_NS: u64 = 10 * SECOND;
/// Logins that take longer are slow: the lines say so.
const SLOW_NS: u64 = SECOND;
/// Of a leaking host one line in so many is lost, where it says how the agent is.
const LEAK: u64 = 10;
/// One line in so many is delivered twice.
const AGAIN: u64 = 100;

fn affected<T>(count: u64, most: T) -> Affected<T> {
    Affected {
        count: Count(count),
        at_least: None,
        top: vec![most],
    }
}

/// How large a fleet's day is.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Attempts to log in.
    pub logins: u64,
    /// The day's length.
    pub minutes: u64,
    /// Its first moment.
    pub day: Timestamp,
    /// Another one is another day of the same fleet.
    pub seed: u64,
    /// Nothing goes wrong.
    pub quiet: bool,
}

/// How much longer than the fastest packet of that way each one of a pair of hosts took there and back, in nanoseconds.
pub type Ways = BTreeMap<[String; 2], [Vec<u64>; 2]>;

impl Plan {
    /// When the attempt begins at the earliest.
    const fn begins(&self, index: u64) -> u64 {
        let room = self.minutes * MINUTE - NAMES_NS - CLOCKS_NS;
        index * room / self.logins
    }

    /// In thousandths of the day; a quiet one stays at its beginning.
    const fn thousandth(&self, at: u64) -> u64 {
        if self.quiet {
            return 0;
        }
        at / (self.minutes * MINUTE / 1_000)
    }

    fn story(&self, index: u64) -> Story {
        let at = self.begins(index);
        Story::new(self.seed, index, at + NAMES_NS, self.thousandth(at))
    }

    /// What truly happened on the way, of each connection whose prelogin both hosts saw to its end: by the names of the
    /// client's and the server's host.
    pub fn ways(&self) -> Ways {
        let mut ways = Ways::new();
        for story in (0..self.logins).map(|index| self.story(index)) {
            let connections = match story.outcome {
                Outcome::Unreachable | Outcome::Timeout => 0,
                // The second one is at the port that a gateway named.
                Outcome::Redirected => 2,
                _ => 1,
            };
            let hosts = [client_host(story.host), server_host(story.server)];
            let [there, back] = ways.entry(hosts).or_default();
            for _ in 0..connections {
                there.push(story.there_ns);
                back.push(story.back_ns);
            }
        }
        for way in ways.values_mut().flatten() {
            way.sort_unstable();
            let least = way.first().copied().unwrap_or_default();
            for took in way {
                *took -= least;
            }
        }
        ways
    }
}

/// An agent's place in its own stream.
struct Agency {
    host: String,
    format: LineFormat,
    line: u64,
}

/// Writes a fleet's lines.
pub struct Fleet<W> {
    plan: Plan,
    agents: Vec<Agency>,
    out: W,
    line: Vec<u8>,
    written: u64,
    truth: Truth,
    busy: Vec<(u64, u64, Outcome)>,
    measured: Option<Measured>,
}

impl<W: Write> Fleet<W> {
    /// A fleet that writes to `out`.
    pub fn new(plan: Plan, out: W) -> Self {
        let hosts = (0..CLIENT_HOSTS)
            .map(client_host)
            .chain((0..SERVERS).map(server_host));
        let agents = hosts.enumerate().map(|(number, host)| {
            let mut format = LineFormat::new(&host, Naming::Native);
            format.run = RunId(random::number(plan.seed ^ 0x52, number as u64));
            format.slow = Some(Nanos(SLOW_NS));
            Agency {
                host,
                format,
                line: 0,
            }
        });
        Self {
            plan,
            agents: agents.collect(),
            out,
            line: Vec::with_capacity(8192),
            written: 0,
            truth: Truth::default(),
            busy: Vec::new(),
            measured: None,
        }
    }

    /// What some of its agents count and measure is written by the minute, too.
    #[must_use]
    pub fn measured(mut self, measured: Measured) -> Self {
        self.measured = Some(measured);
        self
    }

    /// Writes the whole day; what truly happened on it.
    pub fn write(mut self) -> Result<Truth> {
        let Plan {
            logins, minutes, ..
        } = self.plan;
        for agent in 0..self.agents.len() {
            let start = Agent {
                version: Some("0.1.0".into()),
                ..Agent::new(AgentAction::Start)
            };
            self.say(agent, 0, start)?;
        }
        let mut told_minutes = 0;
        for index in 0..logins {
            let at = self.plan.begins(index);
            while (told_minutes + 1) * MINUTE <= at {
                told_minutes += 1;
                self.minute(told_minutes)?;
            }
            self.login(index)?;
        }
        while told_minutes < minutes {
            told_minutes += 1;
            self.minute(told_minutes)?;
        }
        if let Some(measured) = &mut self.measured {
            measured.end()?;
        }
        // A lost line shows by the next one.
        let last = usize::try_from(LEAKING_HOST)?;
        self.say(last, minutes * MINUTE, Agent::new(AgentAction::Stop))?;
        self.out.flush()?;
        Ok(self.truth)
    }

    fn login(&mut self, index: u64) -> Result<()> {
        let story = self.plan.story(index);
        let behind =
            (story.outcome == Outcome::Redirected).then(|| story.behind_gateway(self.plan.seed));
        self.truth.count(&story, behind.as_ref());
        if story
            .wrong
            .is_some_and(|wrong| wrong.cause == "server_threads_exhausted")
        {
            self.busy.push((index, story.host, story.outcome));
        }
        let client = usize::try_from(story.host)?;
        let server = usize::try_from(CLIENT_HOSTS + story.server)?;
        for one in [Some(&story), behind.as_ref()].into_iter().flatten() {
            let records = self.teller(client).connection(one, End::Client);
            self.append_all(client, &records)?;
            // What no packet of reached the server its agent cannot tell.
            if one.outcome != Outcome::Unreachable {
                let records = self.teller(server).connection(one, End::Server);
                self.append_all(server, &records)?;
            }
        }
        let attempt = self.teller(client).attempt(&story, behind.as_ref());
        self.append_all(client, &[attempt])
    }

    /// What agents say once a minute, and incidents as they open and close.
    fn minute(&mut self, minute: u64) -> Result<()> {
        let at = minute * MINUTE;
        let thousandth = self.plan.thousandth(at);
        if let Some(measured) = &mut self.measured {
            measured.minute(self.plan.day.0 + at)?;
        }
        for agent in 0..self.agents.len() {
            if agent as u64 == SILENT_HOST && times::SILENT.contains(&thousandth) {
                continue;
            }
            let since = self.teller(agent).moment(at - MINUTE);
            let status = Status {
                since,
                open_connections: Count(20 + agent as u64 % 50),
                undecided: None,
                joined_late: None,
                connections: Count(12),
                logins: [(Outcome::Success, Count(12))].into(),
                events: Count(90),
                losses: [].into(),
                learned_ports: None,
                memory_bytes: Some(Count(31 << 20)),
                sinks: [].into(),
            };
            let said = Agent {
                status: Some(status),
                ..Agent::new(AgentAction::Status)
            };
            self.say(agent, at, said)?;
        }
        if minute % 10 == 5 {
            self.lose(at)?;
        }
        if !self.busy.is_empty() && !times::BUSY.contains(&thousandth) {
            self.incident(at)?;
        }
        Ok(())
    }

    fn lose(&mut self, at: u64) -> Result<()> {
        const LOST: u64 = 12;
        let agent = usize::try_from(LOSING_HOST)?;
        let teller = self.teller(agent);
        let loss = Loss {
            reason: LossReason::RingFull,
            stranger: None,
            count: Count(LOST),
            events: [].into(),
            since: teller.moment(at - 5 * MINUTE),
        };
        let timestamp = teller.moment(at);
        self.truth.lost += LOST;
        let body = Body::Loss(LossRecord { loss });
        self.append_all(agent, &[Record { timestamp, body }])
    }

    /// The incident of the busy server, told by its own agent when it is over.
    fn incident(&mut self, at: u64) -> Result<()> {
        let agent = usize::try_from(CLIENT_HOSTS + BUSY_SERVER)?;
        let busy = std::mem::take(&mut self.busy);
        let seed = self.plan.seed;
        let teller = self.teller(agent);
        let failed = busy
            .iter()
            .filter(|(.., outcome)| *outcome == Outcome::Timeout);
        let failed = failed.count() as u64;
        let (first, first_host) = busy
            .first()
            .map_or((0, 0), |(index, host, _)| (*index, *host));
        let start = self.plan.begins(first) + NAMES_NS;
        let logins = busy.len() as u64;
        let one = IncidentLogin {
            connection_id: tracer::record::ConnectionId(random::number(seed, first)),
            start: teller.moment(start),
            outcome: Some(Outcome::Success),
            duration_ns: Nanos(14 * SECOND),
            phase: Some(PhaseName::Prelogin),
        };
        let client = AffectedClient {
            address: client_address(first_host),
            logins: Count(1),
        };
        let server = AffectedServer {
            address: server_address(BUSY_SERVER),
            port: 1433,
            logins: Count(logins),
        };
        let incident = Incident {
            id: IncidentId(random::number(seed ^ 0x1c, first)),
            action: IncidentAction::Closed,
            outcome: Some(IncidentOutcome::Recovered),
            scope: IncidentScope::Server,
            cause: "server_threads_exhausted".into(),
            confidence: Confidence(0.88),
            whom: Some(Whom::Database),
            error: None,
            start: teller.moment(start),
            end: Some(teller.moment(at)),
            duration_ns: Nanos(at - start),
            logins: Count(logins),
            of_logins: Count(logins),
            failed: Count(failed),
            slow: Count(logins - failed),
            pending: Count(0),
            usual_per_minute: Some(0.1),
            causes: [("server_threads_exhausted".into(), Count(logins))].into(),
            outcomes: [(Outcome::Timeout, Count(failed))].into(),
            auth: [(AuthKind::Sql, Count(logins - failed))].into(),
            clients: affected(logins, client),
            servers: affected(1, server),
            processes: None,
            applications: None,
            first: one.clone(),
            worst: one,
            evidence: [].into(),
            meaning: "SQL Server had no free worker",
        };
        let timestamp = teller.moment(at);
        self.truth.incidents.push((logins, failed));
        let body = Body::Incident(Box::new(IncidentRecord { incident }));
        self.append_all(agent, &[Record { timestamp, body }])
    }

    fn say(&mut self, agent: usize, at: u64, agent_says: Agent) -> Result<()> {
        let timestamp = self.teller(agent).moment(at);
        let body = Body::Agent(AgentRecord { agent: agent_says });
        self.append_all(agent, &[Record { timestamp, body }])
    }

    fn teller(&self, agent: usize) -> Teller<'_> {
        Teller {
            host: &self.agents[agent].host,
            day: self.plan.day,
            seed: self.plan.seed,
        }
    }

    fn append_all(&mut self, agent: usize, records: &[Record]) -> Result<()> {
        for record in records {
            self.append(agent, record)?;
        }
        Ok(())
    }

    fn append(&mut self, agent: usize, record: &Record) -> Result<()> {
        if let Some(measured) = &mut self.measured {
            measured.record(agent, record);
        }
        let leaks = agent as u64 == LEAKING_HOST;
        let agent = &mut self.agents[agent];
        agent.line += 1;
        let status = matches!(&record.body, Body::Agent(said) if said.agent.status.is_some());
        if leaks && agent.line.is_multiple_of(LEAK) && status {
            self.truth.leaked += 1;
            return Ok(());
        }
        self.line.clear();
        agent.format.append(record, agent.line, &mut self.line)?;
        self.written += 1;
        let times = 1 + u64::from(self.written.is_multiple_of(AGAIN));
        for _ in 0..times {
            self.out.write_all(&self.line)?;
        }
        self.truth.lines += 1;
        Ok(())
    }
}
