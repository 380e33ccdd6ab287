//! The configuration, read anew while connections are open.

use std::collections::BTreeSet;

use super::{RunOptions, confinement::output_folder, requests_of, service, watcher::Watcher};
use crate::{
    host,
    record::{Agent, AgentAction, Event as EventName, Text},
    session::{Adjustable, Config},
};

/// How options are read anew.
pub type Reread = fn() -> anyhow::Result<RunOptions>;

/// What takes effect at once; the rest with the next start.
const ALIVE: &[&str] = &[
    "port",
    "format",
    "events",
    "slow",
    "pending",
    "incident-logins",
    "identities",
    "schema",
    "output",
    "output-max-bytes",
    "output-keep",
    "log-level",
];

impl Watcher {
    /// Reads the configuration anew, takes of it what can be taken now, and says what came of it. The output file
    /// is opened anew whatever is said.
    pub(super) fn reload(&mut self) {
        service::reloading();
        let outcome = self.reread();
        service::ready();
        let (reason, detail) = match outcome {
            Ok(outcome) => outcome,
            Err(error) => ("refused", Some(format!("{error:#}; all is as it was"))),
        };
        self.say(Agent {
            reason: Some(Text::from(reason)),
            detail: detail.as_deref().map(Text::from),
            ..Agent::new(AgentAction::Reload)
        });
    }

    fn reread(&mut self) -> anyhow::Result<(&'static str, Option<String>)> {
        let new = (self.reread)();
        let destination = match &new {
            Ok(new) if output_folder(new) == output_folder(&self.options) => {
                &new.output.destination
            }
            _ => &self.options.output.destination,
        };
        let reopened = self.records.output.reopen(destination);
        let mut new = new?;
        reopened.map_err(|error| anyhow::anyhow!("the output file: {error}"))?;

        let changed = changed(&self.options, &new);
        if changed.is_empty() {
            return Ok(("unchanged", None));
        }
        let waiting = self.waiting(&changed, &new);
        // What waits stays as it is, and is found changed the next time too.
        for name in &waiting {
            keep(name, &self.options, &mut new);
        }
        self.take(new, &changed);
        let names = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        let taken: BTreeSet<String> = changed.difference(&waiting).cloned().collect();
        let mut said = Vec::new();
        if !taken.is_empty() {
            said.push(format!("applied: {}", names(&taken)));
        }
        if !waiting.is_empty() {
            said.push(format!("needs a restart: {}", names(&waiting)));
        }
        let reason = if waiting.is_empty() {
            "applied"
        } else {
            "needs_restart"
        };
        Ok((reason, Some(said.join("; "))))
    }

    /// Those that only a restart changes.
    fn waiting(&self, changed: &BTreeSet<String>, new: &RunOptions) -> BTreeSet<String> {
        let is_waiting = |name: &str| match name {
            // The kernel programs are loaded for one of the two.
            "port" => new.ports.auto != self.options.ports.auto,
            "events" => requests_of(new) != requests_of(&self.options),
            // The thread that writes reaches no other.
            "output" => output_folder(new) != output_folder(&self.options),
            name => !ALIVE.contains(&name),
        };
        changed
            .iter()
            .filter(|name| is_waiting(name))
            .cloned()
            .collect()
    }

    fn take(&mut self, mut new: RunOptions, changed: &BTreeSet<String>) {
        // Both are drawn by chance in each reading.
        new.output.run = self.options.output.run;
        if !changed.contains("identities") {
            new.identities = self.options.identities.clone();
        }
        self.engine.set(adjusted(&new, changed));
        self.records.output.set(&new.output, &host::name());
        if changed.contains("port") {
            self.ports.name(new.ports.clone());
            self.watch();
        }
        if changed.contains("log-level") {
            (self.set_log_level)(new.log_level);
        }
        self.options = new;
    }
}

/// What the engine is to know of it.
fn adjusted(new: &RunOptions, changed: &BTreeSet<String>) -> Adjustable {
    let filter = &new.output.filter;
    Adjustable {
        identity: changed
            .contains("identities")
            .then(|| new.identities.clone()),
        pending_after: new.pending_after.0,
        slow: filter.slow.map_or(Config::SLOW, |slow| slow.0),
        phases: filter.wants(EventName::Phase),
        requests: filter.wants(EventName::Request),
        incidents: new.incidents_told(),
    }
}

/// The options whose values differ.
fn changed(old: &RunOptions, new: &RunOptions) -> BTreeSet<String> {
    let differs = |name: &&String| old.said.get(*name) != new.said.get(*name);
    let names = old.said.keys().chain(new.said.keys());
    names.filter(differs).cloned().collect()
}

/// Leaves an option of the new ones as it was.
fn keep(name: &str, old: &RunOptions, new: &mut RunOptions) {
    match old.said.get(name) {
        Some(values) => drop(new.said.insert(name.to_owned(), values.clone())),
        None => drop(new.said.remove(name)),
    }
    match name {
        "port" => new.ports = old.ports.clone(),
        "metrics" => new.metrics = old.metrics,
        "output" => new.output.destination = old.output.destination.clone(),
        "events" => new.output.filter.events = old.output.filter.events,
        // No other is looked at again once the agent runs.
        _ => {}
    }
}
