//! The agent at work: what it does in turn, and what it says of itself.

use std::{io, process::ExitCode, thread, time::Duration};

use anyhow::Context;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};
use tracer_ebpf::loss::LossReason as KernelLoss;
use tracing_subscriber::filter::LevelFilter;

use super::{
    Reread, RunOptions, Signals,
    memory::Memory,
    named::Named,
    owners::Owners,
    ports::Watched,
    recording::{Scribe, recorder},
    records::Records,
    service,
    status::Tally,
    told::tell,
};
use crate::{
    host::{Earlier, Processes, Witness},
    metrics::Metrics,
    probe::{Drops, Notice, Probe},
    record::{
        Agent, AgentAction, AgentRecord, Body, Event as EventName, LossReason, Record, Text,
        Timestamp,
    },
    session::{Carried, Config, Engine, Input, Listener as _},
    sink::Outputs,
};

/// How often time is looked at where no packet comes.
const TICK: Duration = Duration::from_millis(100);
/// Ticks between two looks at the kernel's loss counters.
const LOSS_TICKS: u32 = 10;
/// After so long without a look at the ring it may have been full.
const LATE: Duration = Duration::from_millis(500);
/// How often the agent says how it does.
const STATUS: Duration = Duration::from_mins(1);
/// How often what is usual at servers is written down, in statuses.
const SAVES: u32 = 5;
/// Records taken from the ring before anything else gets its turn.
const BATCH: usize = 4096;
/// As many of those that came while the host was looked through: all their lines find room where writers keep up.
const HELD_BATCH: usize = 1024;
/// How long those wait for writers that do not, in all.
const CATCH_UP: Duration = Duration::from_secs(10);
/// How long such a writer is left alone.
const LULL: Duration = Duration::from_millis(2);
/// How long a reader that does not read is waited for at the end.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the ring is read at the end, nanoseconds.
const LAST_LOOK: u64 = 1_000_000_000;
/// Why the agent stops where nobody reads what it writes.
const READER_GONE: &str = "reader_gone";

/// Changes how much the agent says of its own work.
pub(super) type SetLogLevel = Box<dyn Fn(LevelFilter)>;

/// The agent at work.
pub(super) struct Watcher {
    pub(super) probe: Probe,
    pub(super) engine: Engine,
    pub(super) owners: Owners,
    pub(super) ports: Watched,
    pub(super) records: Records,
    /// As they are in effect.
    pub(super) options: RunOptions,
    pub(super) reread: Reread,
    pub(super) set_log_level: SetLogLevel,
    memory: Memory,
    scribe: Option<Scribe>,
    /// So many ticks lie between two signs of life for the service manager.
    alive_ticks: Option<u32>,
    ticks: u32,
    statuses: u32,
    last_drain: Instant,
}

impl Watcher {
    pub(super) fn new(
        options: &RunOptions,
        mut probe: Probe,
        processes: Processes,
        output: Outputs,
        metrics: Option<Metrics>,
    ) -> Self {
        let now = wall(&mut probe);
        let mut ports = Watched::new(options.ports.clone());
        let drops = drops(&ports);
        let mut named = Named::new(options.watched.clone(), options.pending_after.0);
        named.begin(&mut probe);
        // After the hooks are attached, so that no socket falls between.
        let begun = probe.now();
        let groups = processes.groups();
        let looked_through = probe.meanwhile(|| {
            ports.find_servers(begun);
            Earlier::scan(&ports.all(), groups)
        });
        let earlier = looked_through.unwrap_or_default();
        let wall_offset = probe.wall_offset();
        let config = Config {
            max_connections: options.max_flows as usize,
            identity: options.identities.clone(),
            wall_offset,
            pending_after: options.pending_after.0,
            slow: options.slow.map_or(Config::SLOW, |slow| slow.0),
            phases: output.wants(EventName::Phase),
            requests: output.wants(EventName::Request),
            incidents: options.incidents_told(),
            ..Config::default()
        };
        Self {
            probe,
            engine: Engine::new(config),
            owners: Owners { processes, earlier },
            ports,
            records: Records {
                output,
                metrics,
                decided: Vec::new(),
                words: Vec::new(),
                tally: Tally::new(now),
                closed: false,
                witness: Witness::new(options.confine),
                drops,
                named,
                recorder: recorder(options, wall_offset),
            },
            options: options.clone(),
            reread: || anyhow::bail!("there is nothing to read"),
            set_log_level: Box::new(|_| {}),
            memory: Memory::new(options.state.clone()),
            scribe: Scribe::new(options),
            alive_ticks: service::watched_every().map(ticks),
            ticks: 0,
            statuses: 0,
            last_drain: Instant::now(),
        }
    }

    /// Lets it read its configuration anew when it is asked to.
    pub(super) fn may_reload(&mut self, reread: Reread, set_log_level: SetLogLevel) {
        self.reread = reread;
        self.set_log_level = set_log_level;
    }

    /// Says what is watched from now on, and with what.
    pub(super) fn started(&mut self) {
        let mut start = Agent::new(AgentAction::Start);
        start.version = Some(Text::from(env!("CARGO_PKG_VERSION")));
        if self.options.is_bounded_by_memory {
            let most = self.options.max_flows;
            let bound = format!("at most {most} connections at a time: memory bears no more");
            start.detail = Some(Text::from(bound));
        }
        let drops = self.records.drops.iter().flat_map(Drops::hooks);
        let hooks = self.probe.hooks().into_iter().chain(drops);
        start.hooks = hooks.map(Text::from).collect();
        self.notices();
        if let Some(shortfall) = self.owners.processes.shortfall() {
            self.say(degraded("process", shortfall));
        }
        if let Some(complaint) = self.memory.recall(&mut self.engine) {
            self.say(degraded("state", &complaint));
        }
        self.say(start);
        self.learn();
        self.measure();
    }

    /// Writes down what is usual by now.
    async fn keep(&mut self) {
        if let Some(complaint) = self.memory.keep(&self.engine).await {
            self.say(degraded("state", &complaint));
        }
    }

    pub(super) async fn until_stopped(
        &mut self,
        duration: Option<Duration>,
        signals: &mut Signals,
    ) -> &'static str {
        let mut status = interval_at(Instant::now() + STATUS, STATUS);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = async {
            match duration {
                Some(duration) => tokio::time::sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(end);
        loop {
            tokio::select! {
                () = self.probe.ready() => {}
                _ = tick.tick() => {
                    self.tick();
                    self.recorded(false).await;
                }
                _ = status.tick() => {
                    self.status();
                    self.statuses += 1;
                    if self.statuses.is_multiple_of(SAVES) {
                        self.keep().await;
                    }
                }
                _ = signals.interrupt.recv() => return "interrupt",
                _ = signals.terminate.recv() => return "terminate",
                _ = signals.hang_up.recv() => self.reload(),
                _ = signals.freeze.recv() => self.freeze(),
                () = &mut end => return "duration",
            }
            self.notices();
            self.drain(BATCH);
            self.records.output.flush();
            if self.records.closed || self.records.output.is_closed() {
                return READER_GONE;
            }
        }
    }

    /// Hands over all that the recorder holds, since somebody asks for it.
    fn freeze(&mut self) {
        if let Some(recorder) = &mut self.records.recorder {
            recorder.freeze();
        } else {
            tracing::warn!("nothing is recorded: there is no --recorder");
        }
    }

    /// Writes what was recorded of logins that went wrong.
    async fn recorded(&mut self, finally: bool) {
        let now = self.probe.now();
        let Some((scribe, recorder)) = self.scribe.as_mut().zip(self.records.recorder.as_mut())
        else {
            return;
        };
        recorder.pass(now);
        if let Some(complaint) = scribe.tick(recorder, finally).await {
            self.say(degraded("recorder", &complaint));
        }
    }

    /// Tells what came while the host was looked through: no faster than it is written, since all of it is there at once.
    pub(super) fn catch_up(&mut self) {
        let end = Instant::now() + CATCH_UP;
        while self.probe.holds() {
            self.drain(HELD_BATCH);
            self.records.output.flush();
            while self.records.output.are_behind() && Instant::now() < end {
                self.probe.hold();
                thread::sleep(LULL);
            }
        }
    }

    /// Takes what the kernel has told, of so many records at most; whether that was all.
    fn drain(&mut self, most: usize) -> bool {
        // Before what is in the ring lets time pass: some of it may not have fitted meanwhile.
        if self.last_drain.elapsed() > LATE {
            self.losses();
        }
        self.last_drain = Instant::now();
        let Self {
            probe,
            engine,
            owners,
            ports,
            records,
            ..
        } = self;
        let now = probe.now();
        let wall_offset = probe.wall_offset();
        engine.set_wall_offset(wall_offset);
        if let Some(recorder) = &mut records.recorder {
            recorder.set_wall_offset(wall_offset);
        }
        let taken = probe.drain(most, |record| tell(engine, owners, record, records));
        records.tally.events(taken);
        for decided in records.decided.drain(..) {
            probe.decide(decided.key, decided.born, decided.without_sessions);
        }
        for word in records.words.drain(..) {
            ports.hear(word, now);
        }
        self.learn();
        taken < most
    }

    fn tick(&mut self) {
        // Read before the ring: what is still in there must not find its time passed.
        let now = self.probe.now();
        if self.drain(BATCH) {
            self.engine.pass_time(now, &mut self.records);
        }
        self.ticks = self.ticks.wrapping_add(1);
        let is_due = |ticks| self.ticks.is_multiple_of(ticks);
        if self.alive_ticks.is_some_and(is_due) {
            service::alive();
        }
        if self.ticks.is_multiple_of(LOSS_TICKS) {
            self.losses();
            self.measure();
            self.records.witness.tick();
            self.untried();
            if let Some(refused) = self.records.witness.refusal() {
                self.say(degraded("host", &refused));
            }
            for trouble in self.records.output.troubles() {
                self.say(degraded("sink", &trouble));
            }
            self.records.closed |= self.records.output.reader_is_gone();
        }
    }

    /// Watches the ports that were learned, and says so.
    pub(super) fn learn(&mut self) {
        let changes = self.ports.changes();
        if changes.is_empty() {
            return;
        }
        self.watch();
        for change in changes {
            self.say(change);
        }
    }

    /// Lets the kernel know the ports as they are.
    pub(super) fn watch(&mut self) {
        let all: Vec<_> = self.ports.all().into_iter().collect();
        if let Some(drops) = &mut self.records.drops {
            drops.set_ports(&all);
        }
        if let Err(error) = self.probe.set_ports(&all) {
            self.say(degraded("ports", &error.to_string()));
        }
    }

    fn losses(&mut self) {
        for (reason, count) in self.probe.losses() {
            if reason == KernelLoss::RingFull {
                self.engine.records_lost(self.probe.now());
            }
            self.engine.on_event(
                Input::Loss(LossReason::from(reason), count),
                &mut self.records,
            );
        }
        let unreadable = self.probe.unreadable();
        if unreadable > 0 {
            let input = Input::Loss(LossReason::MalformedEvent, unreadable);
            self.engine.on_event(input, &mut self.records);
        }
    }

    /// Tells what watched processes did in vain, or that they did nothing.
    fn untried(&mut self) {
        let ports = self.ports.all();
        let Records { named, witness, .. } = &mut self.records;
        let untried = named.tick(&mut self.probe, &mut self.owners, witness, &ports);
        for untried in untried {
            let input = Input::Untried(Box::new(untried));
            self.engine.on_event(input, &mut self.records);
        }
    }

    /// Tells what changed about the probe.
    fn notices(&mut self) {
        for notice in self.probe.notices() {
            let agent = match notice {
                Notice::Named { ifindex, name } => {
                    self.engine.name_interface(ifindex, name);
                    continue;
                }
                Notice::Attached {
                    ifindex,
                    name,
                    hook,
                } => {
                    self.engine.name_interface(ifindex, name.clone());
                    Agent {
                        interface: Some(Text::from(name.as_str())),
                        hooks: vec![Text::from(hook.name())],
                        ..Agent::new(AgentAction::InterfaceAdded)
                    }
                }
                Notice::Detached { name, .. } => Agent {
                    interface: Some(Text::from(name.as_str())),
                    ..Agent::new(AgentAction::InterfaceRemoved)
                },
                Notice::Degraded { what, reason } => degraded(what, &reason),
            };
            self.say(agent);
        }
    }

    /// Tells what every open connection has carried, the last packets included.
    fn count(&mut self) {
        for key in self.engine.open() {
            for (born, sent) in self.probe.carried(key) {
                let tally = self.probe.tally(key);
                let carried = Box::new(Carried { sent, tally });
                let counted = Input::Counted(key, born, carried);
                self.engine.on_event(counted, &mut self.records);
            }
        }
    }

    pub(super) fn say(&mut self, agent: Agent) {
        let timestamp = wall(&mut self.probe);
        let body = Body::Agent(AgentRecord { agent });
        self.records.record(Record { timestamp, body });
    }

    /// Tells every open connection as far as it came, and leaves the kernel as it was.
    pub(super) async fn stop(mut self, reason: &str) -> anyhow::Result<ExitCode> {
        // Under load the ring fills as fast as it is read.
        let enough = self.probe.now().saturating_add(LAST_LOOK);
        while !self.drain(BATCH) && self.probe.now() < enough {}
        self.losses();
        // SYNs that are held back now are told no more.
        self.losses();
        self.records.output.take_your_time(PATIENCE);
        self.count();
        self.engine.finish(self.probe.now(), &mut self.records);
        self.recorded(true).await;
        self.keep().await;
        if let Some(complaint) = self.memory.kept().await {
            self.say(degraded("state", &complaint));
        }
        self.say(Agent {
            reason: Some(Text::from(reason)),
            ..Agent::new(AgentAction::Stop)
        });
        self.probe.stop().await;
        match self.records.output.finish(PATIENCE) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                tracing::warn!("the output's reader does not read: the last records were dropped");
            }
            written => {
                written.context("writing the output")?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The ticks in that time: one at least.
fn ticks(time: Duration) -> u32 {
    let ticks = time.as_nanos() / TICK.as_nanos();
    u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
}

/// Has the kernel say which packets of these ports it throws away; where it does not, the start says so by not
/// naming the hook.
fn drops(ports: &Watched) -> Option<Drops> {
    let all: Vec<_> = ports.all().into_iter().collect();
    let drops = Drops::watch(&all);
    drops
        .inspect_err(|reason| tracing::info!("dropped packets are not seen: {reason}"))
        .ok()
}

/// Something works less well than it could, and why.
fn degraded(what: &str, reason: &str) -> Agent {
    Agent {
        reason: Some(Text::from(what)),
        detail: Some(Text::from(reason)),
        ..Agent::new(AgentAction::Degraded)
    }
}

/// The probe's clock as the stream tells times.
pub(super) fn wall(probe: &mut Probe) -> Timestamp {
    Timestamp::from_nanoseconds(i128::from(probe.now()) + i128::from(probe.wall_offset()))
}
