//! What some agents of a fleet count and measure, as Prometheus would have asked them: by the minute, with times, for
//! `promtool tsdb create-blocks-from openmetrics`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use tracer::metrics::{Health, Metrics};
use tracer::probe::{InKernel, ProgramRun};
use tracer::record::{
    Agent, AgentAction, AgentRecord, Body, Count, IncidentAction, LossReason, Record, SinkStatus,
    Timestamp,
};
use tracer::session::Standing;
use tracer::sink::Progress;

/// See the module.
pub struct Measured {
    /// By their numbers in the fleet.
    agents: BTreeMap<usize, Metrics>,
    out: Box<dyn Write>,
    minutes: u64,
}

impl Measured {
    /// Of these agents; it is written there.
    pub fn new(agents: impl IntoIterator<Item = usize>, out: Box<dyn Write>) -> Self {
        let agents = agents.into_iter().map(|agent| {
            let mut metrics = Metrics::new(&format!("agent{agent}"));
            metrics.record(&degraded());
            (agent, metrics)
        });
        Self {
            agents: agents.collect(),
            out,
            minutes: 0,
        }
    }

    pub(super) fn record(&mut self, agent: usize, record: &Record) {
        let Some(metrics) = self.agents.get_mut(&agent) else {
            return;
        };
        // The fleet's agents tell of an incident once it is over: it had opened before.
        if let Body::Incident(told) = &record.body {
            let mut told = told.clone();
            told.incident.action = IncidentAction::Opened;
            metrics.record(&Record {
                timestamp: record.timestamp,
                body: Body::Incident(told),
            });
        }
        metrics.record(record);
    }

    /// All of them are asked, at this time in nanoseconds since 1970.
    pub(super) fn minute(&mut self, at: u64) -> Result<()> {
        self.minutes += 1;
        for (agent, metrics) in &mut self.agents {
            metrics.health(&health(self.minutes, Timestamp(at)));
            let mut text = String::new();
            for family in metrics.figures().families() {
                for one in &family.metric {
                    let mut labels = format!("instance=\"agent{agent}:9433\",job=\"tds\"");
                    for pair in one.label.iter().filter(|pair| !pair.value.is_empty()) {
                        write!(labels, ",{}=\"{}\"", pair.name, pair.value)?;
                    }
                    let mut sample = |suffix: &str, more: &str, value: f64| {
                        let name = &family.name;
                        writeln!(
                            text,
                            "{name}{suffix}{{{labels}{more}}} {value} {}",
                            at / 1_000_000_000
                        )
                    };
                    if let Some(counter) = &one.counter {
                        sample("", "", counter.value)?;
                    }
                    if let Some(gauge) = &one.gauge {
                        sample("", "", gauge.value)?;
                    }
                    let Some(histogram) = &one.histogram else {
                        continue;
                    };
                    for bucket in &histogram.bucket {
                        let bound = match bucket.upper_bound {
                            bound if bound > 1e9 => "+Inf".to_owned(),
                            bound => bound.to_string(),
                        };
                        let count = bucket.cumulative_count as f64;
                        sample("_bucket", &format!(",le=\"{bound}\""), count)?;
                    }
                    sample("_sum", "", histogram.sample_sum)?;
                    sample("_count", "", histogram.sample_count as f64)?;
                }
            }
            self.out.write_all(text.as_bytes())?;
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<()> {
        self.out.write_all(b"# EOF\n")?;
        Ok(self.out.flush()?)
    }
}

/// Each of them works less well than it could.
fn degraded() -> Record {
    let agent = Agent {
        reason: Some("side_traffic".into()),
        ..Agent::new(AgentAction::Degraded)
    };
    Record {
        timestamp: Timestamp(0),
        body: Body::Agent(AgentRecord { agent }),
    }
}

fn health(minutes: u64, now: Timestamp) -> Health {
    let sink = SinkStatus {
        written: Count(30 * minutes),
        losses: [(LossReason::SpoolFull, Count(minutes))].into(),
        errors: Some(Count(2 * minutes)),
        spool_bytes: Some(Count(64 << 10)),
        spool_since: Some(Timestamp(now.0.saturating_sub(5_000_000_000))),
        ..SinkStatus::default()
    };
    Health {
        now,
        connections_most: 65_536,
        sinks: [("otlp".into(), sink)].into(),
        kernel: InKernel {
            ring: Some(4096 * (1 + minutes % 7)),
            ring_size: 8 << 20,
            programs: [("tds_socket_in", 900), ("tds_socket_out", 650)]
                .map(|(name, took)| ProgramRun {
                    name: name.to_owned(),
                    runs: 40_000 * minutes,
                    time: Duration::from_nanos(took * 40_000 * minutes),
                })
                .to_vec(),
        },
        connections: Standing {
            seen: 12 * minutes,
            open: 20,
            undecided: 1,
            joined_late: 0,
        },
        events: 90 * minutes,
        learned_ports: Some(1),
        output: Progress {
            written: 30 * minutes,
            ..Progress::default()
        },
        memory: Some(31 << 20),
        processor: 0.02 * minutes as f64,
    }
}
