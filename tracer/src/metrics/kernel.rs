//! How the agent's half in the kernel does: what waits in the ring, and what its programs take.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::{advance, labels::OfProgram, series::Series};
use crate::probe::{InKernel, ProgramRun};

type Seconds = Counter<f64, AtomicU64>;
/// Not a number while it is not known.
type Bytes = Gauge<f64, AtomicU64>;

/// See the module.
#[derive(Debug)]
pub(super) struct Kernel {
    ring: Bytes,
    ring_size: Bytes,
    runs: Series<OfProgram, Counter>,
    time: Series<OfProgram, Seconds>,
}

impl Kernel {
    /// Nothing is known yet; the registry tells it from now on.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let kernel = Self {
            ring: Bytes::default(),
            ring_size: Bytes::default(),
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
        self.ring
            .set(told.ring.map_or(f64::NAN, |bytes| bytes as f64));
        self.ring_size.set(told.ring_size as f64);
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

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text;

    use super::*;

    #[test]
    fn what_waits_in_a_ring_that_the_kernel_does_not_show_is_not_a_number() {
        let mut registry = Registry::default();
        let mut kernel = Kernel::new(&mut registry);
        for (ring, line) in [(Some(72), "72.0"), (None, "NaN")] {
            kernel.set(&InKernel {
                ring,
                ring_size: 4096,
                programs: Vec::new(),
            });
            let mut text = String::new();
            prometheus_text::encode(&mut text, &registry).expect("text");
            let told = format!("tds_tracer_ring_bytes {line}");
            assert!(text.lines().any(|line| line == told), "{told} in {text}");
        }
    }
}
