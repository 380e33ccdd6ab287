//! How the agent itself does.

use std::{
    collections::BTreeMap,
    sync::atomic::AtomicU64,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    metrics::{
        counter::Counter,
        gauge::{ConstGauge, Gauge},
        info::Info,
    },
    registry::{Registry, Unit},
};

use super::{
    advance,
    kernel::Kernel,
    labels::{OfMetric, OfReason, OfState},
    series::Series,
    sinks::Sinks,
};
use crate::{
    probe::InKernel,
    record::{AgentAction, Body, LossReason, SinkStatus, Text, Timestamp},
    session::Standing,
    sink::Progress,
};

/// How the agent does at a moment; what is counted is counted since it started.
#[derive(Clone, Debug)]
pub struct Health {
    /// This moment.
    pub now: Timestamp,
    /// Connections that it knows of.
    pub connections: Standing,
    /// Records that came from the kernel.
    pub events: u64,
    /// Ports that were learned and are watched; `None` where none are learned.
    pub learned_ports: Option<u64>,
    /// Connections that it knows of at most.
    pub connections_most: u64,
    /// What became of what it says.
    pub output: Progress,
    /// The same at each sink, by its name.
    pub sinks: BTreeMap<Text, SinkStatus>,
    /// Its half in the kernel.
    pub kernel: InKernel,
    /// Memory in use, bytes.
    pub memory: Option<u64>,
    /// Time of processors that it took, seconds.
    pub processor: f64,
}

type Seconds = Counter<f64, AtomicU64>;

/// See the module.
#[derive(Debug)]
pub(super) struct Own {
    connections: Series<OfState, Gauge>,
    seen: Counter,
    events: Counter,
    lost: Series<OfReason, Counter>,
    degraded: Series<OfReason, Counter>,
    learned_ports: Gauge,
    written: Counter,
    waiting: Gauge,
    memory: Gauge,
    processor: Seconds,
    folded: Series<OfMetric, Counter>,
    connections_most: Gauge,
    sinks: Sinks,
    kernel: Kernel,
}

impl Own {
    /// Of an agent that started then; the registry tells it from now on.
    pub(super) fn new(registry: &mut Registry, start: SystemTime) -> Self {
        let own = Self {
            connections: Series::new(Gauge::default),
            seen: Counter::default(),
            events: Counter::default(),
            lost: Series::new(Counter::default),
            degraded: Series::new(Counter::default),
            learned_ports: Gauge::default(),
            written: Counter::default(),
            waiting: Gauge::default(),
            memory: Gauge::default(),
            processor: Seconds::default(),
            folded: Series::new(Counter::default),
            connections_most: Gauge::default(),
            sinks: Sinks::new(registry),
            kernel: Kernel::new(registry),
        };
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("tds_tracer_build", "The agent's version", version);
        own.connections.register(
            registry,
            "tds_tracer_connections",
            "Connections that the agent knows of: all that are open, those whose login is undecided, and those it \
             came too late for",
        );
        own.lost.register(
            registry,
            "tds_tracer_lost",
            "What was not seen or not told, by the reason that loss lines give",
        );
        own.degraded.register(
            registry,
            "tds_tracer_degraded",
            "How often something worked less well than it could, by what",
        );
        own.folded.register(
            registry,
            "tds_tracer_series_folded",
            "How often something was counted as `other`, since its metric had too many series",
        );
        for (name, help, counter) in [
            (
                "tds_tracer_connections_seen",
                "Connections that began or were found open",
                &own.seen,
            ),
            (
                "tds_tracer_events",
                "Records that came from the kernel",
                &own.events,
            ),
            (
                "tds_tracer_output_records",
                "Records written to the output",
                &own.written,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        for (name, help, gauge) in [
            (
                "tds_tracer_connections_most",
                "Connections that the agent and its tables in the kernel know of at most",
                &own.connections_most,
            ),
            (
                "tds_tracer_learned_ports",
                "Ports that were learned and are watched",
                &own.learned_ports,
            ),
            (
                "tds_tracer_output_waiting",
                "Records that wait for the output's reader",
                &own.waiting,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        own.register_process(registry, start);
        own
    }

    /// As every client library of Prometheus names them.
    fn register_process(&self, registry: &mut Registry, start: SystemTime) {
        let since = start.duration_since(UNIX_EPOCH).unwrap_or_default();
        registry.register_with_unit(
            "process_cpu",
            "Time of processors that the agent took",
            Unit::Seconds,
            self.processor.clone(),
        );
        registry.register_with_unit(
            "process_resident_memory",
            "Memory of the agent that is in use",
            Unit::Bytes,
            self.memory.clone(),
        );
        registry.register_with_unit(
            "process_start_time",
            "When the agent started, since 1970",
            Unit::Seconds,
            ConstGauge::new(since.as_secs_f64()),
        );
    }

    /// Counts what the agent says of itself.
    pub(super) fn record(&mut self, body: &Body) {
        match body {
            Body::Loss(record) => {
                self.lose(record.loss.reason, record.loss.count.0);
            }
            Body::Agent(record) if record.agent.action == AgentAction::Degraded => {
                let reason = record.agent.reason.as_ref();
                let reason = reason.map_or_else(String::new, ToString::to_string);
                self.degraded.with(OfReason { reason }, Counter::inc);
            }
            _ => {}
        }
    }

    fn lose(&mut self, reason: LossReason, count: u64) {
        let reason = reason.as_str().to_owned();
        self.lost
            .with(OfReason { reason }, |counter| counter.inc_by(count));
    }

    /// Takes over how the agent does.
    pub(super) fn health(&mut self, health: &Health) {
        let Standing {
            seen,
            open,
            undecided,
            joined_late,
        } = health.connections;
        for (state, count) in [
            ("open", open),
            ("undecided", undecided),
            ("joined_late", joined_late),
        ] {
            let state = state.to_owned();
            let count = count.cast_signed();
            self.connections
                .with(OfState { state }, |gauge| gauge.set(count));
        }
        advance(&self.seen, seen);
        advance(&self.events, health.events);
        advance(&self.written, health.output.written);
        for (reason, count) in [
            (LossReason::OutputBlocked, health.output.dropped),
            (LossReason::OutputFailed, health.output.unwritten),
        ] {
            let reason = reason.as_str().to_owned();
            self.lost
                .with(OfReason { reason }, |counter| advance(counter, count));
        }
        self.waiting.set(health.output.waiting.cast_signed() as i64);
        self.connections_most
            .set(health.connections_most.cast_signed());
        for (name, status) in &health.sinks {
            self.sinks.status(name, status, health.now);
        }
        self.kernel.set(&health.kernel);
        self.learned_ports
            .set(health.learned_ports.unwrap_or_default().cast_signed());
        self.memory
            .set(health.memory.unwrap_or_default().cast_signed());
        self.processor
            .inc_by((health.processor - self.processor.get()).max(0.0));
    }

    /// Takes over how often there was no room for a series, by the metric's name.
    pub(super) fn series(&mut self, folded: &[(&'static str, u64)]) {
        for (metric, count) in folded.iter().filter(|(_, count)| *count > 0) {
            let metric = (*metric).to_owned();
            self.folded
                .with(OfMetric { metric }, |counter| advance(counter, *count));
        }
    }
}
