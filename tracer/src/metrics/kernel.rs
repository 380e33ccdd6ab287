//! How the agent's half in the kernel does: what waits in the ring, and what its programs take.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::{advance, labels::OfProgram, series::Series};
use crate::probe::{InKernel, ProgramRun};

type Seconds = Counter<f64, AtomicU64>;

/// See the module.
#[derive(Debug)]
pub(super) struct Kernel {
    ring: Gauge,
    ring_size: Gauge,
    runs: Series<OfProgram, Counter>,
    time: Series<OfProgram, Seconds>,
}

impl Kernel {
    /// Nothing is known yet; the registry tells it from now on.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let kernel = Self {
            ring: Gauge::default(),
            ring_size: Gauge::default(),
            runs: Series::new(Counter::default),
            time: Series::new(Seconds::default),
        };
        for (name, help, gauge) in [
            (
                "tds_tracer_ring",
                "What waits in the buffer between the kernel and the agent",
                &kernel.ring,
            ),
            (
                "tds_tracer_ring_size",
                "How much the buffer between the kernel and the agent holds",
                &kernel.ring_size,
            ),
        ] {
            registry.register_with_unit(name, help, Unit::Bytes, gauge.clone());
        }
        kernel.runs.register(
            registry,
            "tds_tracer_program_runs",
            "How often a program in the kernel ran, while kernel.bpf_stats_enabled is set",
        );
        kernel.time.register_seconds(
            registry,
            "tds_tracer_program_run",
            "How long a program in the kernel ran, while kernel.bpf_stats_enabled is set",
        );
        kernel
    }

    /// Takes over how it does at this moment.
    pub(super) fn set(&mut self, told: &InKernel) {
        self.ring.set(told.ring.unwrap_or_default().cast_signed());
        self.ring_size.set(told.ring_size.cast_signed());
        for ProgramRun { name, runs, time } in &told.programs {
            let program = || OfProgram {
                program: name.clone(),
            };
            self.runs.with(program(), |counter| advance(counter, *runs));
            self.time.with(program(), |counter| {
                counter.inc_by((time.as_secs_f64() - counter.get()).max(0.0))
            });
        }
    }
}
