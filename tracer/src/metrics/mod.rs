//! What Prometheus and OpenTelemetry are told: logins and all that comes with them, counted and measured, and how the
//! agent itself does.
//!
//! [`Metrics`] takes the records that the output takes, before anybody's filter, and the agent's
//! own [`Health`]; [`Endpoint`] answers whoever asks for them, and sinks take them as [`Figures`]. Series are bounded,
//! by `series`.

mod health;
mod kernel;
mod labels;
mod logins;
mod series;
mod serve;
mod sinks;
mod timed;
mod told;

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

pub use self::{health::Health, serve::Endpoint};
use prometheus_client::metrics::counter::Counter;

use self::{health::Own, logins::Logins, told::Told};
use crate::{
    record::{Record, Timestamp},
    sink::Figures,
};

/// All that is counted and measured.
#[derive(Debug)]
pub struct Metrics {
    logins: Logins,
    own: Own,
    told: Arc<Told>,
    endpoint: Option<Endpoint>,
}

impl Metrics {
    /// Nothing has happened yet on this host.
    pub fn new(host: &str) -> Self {
        let now = SystemTime::now();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut told = Told::new(Timestamp(since.as_nanos() as u64));
        let logins = Logins::new(&mut told, host);
        let own = Own::new(&mut told.registry, now);
        Self {
            logins,
            own,
            told: Arc::new(told),
            endpoint: None,
        }
    }

    /// An endpoint tells them from now on, whose thread gives up all else where it is to be confined.
    ///
    /// # Errors
    /// Where nobody can be answered there.
    pub fn listen(&mut self, address: SocketAddr, confined: bool) -> io::Result<()> {
        let told = Arc::clone(&self.told);
        self.endpoint = Some(Endpoint::start(address, told, confined)?);
        Ok(())
    }

    /// All of it, for sinks that tell it.
    pub fn figures(&self) -> Arc<dyn Figures> {
        Arc::clone(&self.told) as Arc<dyn Figures>
    }

    /// Counts what is told, whether or not anybody else asked for it.
    pub fn record(&mut self, record: &Record) {
        self.logins.record(record);
        self.own.record(&record.body);
    }

    /// How the agent does at this moment: it is alive, too.
    pub fn health(&mut self, health: &Health) {
        self.own.health(health);
        if let Some(endpoint) = &self.endpoint {
            endpoint.alive();
        }
    }

    /// A minute has passed: what nothing happened in for an hour is given up.
    pub fn minute(&mut self) {
        let series = self.logins.minute();
        self.own.series(&series);
    }
}

/// What is counted elsewhere never goes back.
fn advance(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text;

    use super::{logins::Logins, told::Told};
    use crate::{
        record::{Timestamp, samples},
        sink::Figures as _,
    };

    fn told() -> Told {
        let mut told = Told::new(Timestamp(0));
        let mut logins = Logins::new(&mut told, "app1");
        for record in samples::all() {
            logins.record(&record);
        }
        told
    }

    fn told_of_samples() -> String {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &told().registry).expect("text");
        text
    }

    #[test]
    fn every_time_has_an_example_with_its_trace() {
        let families = told().families();
        let histograms = families
            .iter()
            .flat_map(|family| &family.metric)
            .filter_map(|metric| metric.histogram.as_ref());
        let mut count = 0;
        for histogram in histograms {
            assert!(!histogram.exemplars.is_empty(), "{histogram:?}");
            count += 1;
        }
        assert!(count > 5);
    }

    #[test]
    fn samples_are_counted_under_their_names() {
        let text = told_of_samples();
        let mut without_buckets: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with('#') && !line.contains("_bucket{"))
            .collect();
        without_buckets.sort_unstable();
        insta::assert_snapshot!(without_buckets.join("\n"));
    }

    #[test]
    fn drivers_timeouts_are_bounds_of_buckets() {
        let text = told_of_samples();
        for bound in ["15", "30"] {
            assert!(text.contains(&format!("le=\"{bound}\"")), "{text}");
        }
    }

    #[test]
    fn nobody_is_named() {
        let text = told_of_samples();
        let lines: Vec<_> = samples::all()
            .iter()
            .filter_map(|record| record.body.facts().cloned())
            .collect();
        let names = lines.iter().flat_map(|facts| {
            let login = &facts.login;
            let process = facts.process.as_ref();
            [
                login.user.clone(),
                login.database.clone(),
                login.app_name.clone(),
                login.host_name.clone(),
                process.and_then(|process| process.name.clone()),
            ]
        });
        let names: Vec<_> = names.flatten().collect();
        assert!(names.len() > 4);
        for name in names {
            assert!(!text.contains(name.as_str()), "{name} in {text}");
        }
    }
}
