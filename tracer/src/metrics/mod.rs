//! What Prometheus is told: logins and all that comes with them, counted and measured, and how the agent
//! itself does.
//!
//! [`Metrics`] takes the records that the output takes, before anybody's filter, and the agent's
//! own [`Health`]; [`Endpoint`] answers whoever asks for them. Series are bounded, by `series`.

mod health;
mod labels;
mod logins;
mod series;
mod serve;

use std::{io, net::SocketAddr, time::SystemTime};

use prometheus_client::registry::Registry;

pub use self::{health::Health, serve::Endpoint};
use self::{health::Own, logins::Logins};
use crate::record::Record;

/// All that is counted and measured.
#[derive(Debug)]
pub struct Metrics {
    logins: Logins,
    own: Own,
    endpoint: Endpoint,
}

impl Metrics {
    /// Nothing has happened yet; an endpoint tells it from now on, whose thread gives up all else where it is
    /// to be confined.
    ///
    /// # Errors
    /// Where nobody can be answered there.
    pub fn listen(address: SocketAddr, confined: bool) -> io::Result<Self> {
        let mut registry = Registry::default();
        let logins = Logins::new(&mut registry);
        let own = Own::new(&mut registry, SystemTime::now());
        Ok(Self {
            logins,
            own,
            endpoint: Endpoint::start(address, registry, confined)?,
        })
    }

    /// Counts what is told, whether or not anybody else asked for it.
    pub fn record(&mut self, record: &Record) {
        self.logins.record(&record.body);
        self.own.record(&record.body);
    }

    /// How the agent does at this moment: it is alive, too.
    pub fn health(&mut self, health: &Health) {
        self.own.health(health);
        self.endpoint.alive();
    }

    /// A minute has passed: what nothing happened in for an hour is given up.
    pub fn minute(&mut self) {
        let series = self.logins.minute();
        self.own.series(&series);
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::prometheus_text, registry::Registry};

    use super::logins::Logins;
    use crate::record::samples;

    fn told_of_samples() -> String {
        let mut registry = Registry::default();
        let mut logins = Logins::new(&mut registry);
        for record in samples::all() {
            logins.record(&record.body);
        }
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry).expect("text");
        text
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
