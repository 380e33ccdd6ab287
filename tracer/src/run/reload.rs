//! The configuration, read anew while connections are open.

use std::collections::BTreeSet;

use super::{RunOptions, requests_of, service, watcher::Watcher};
use crate::{
    host,
    record::{Agent, AgentAction, Event as EventName, Text},
    session::{Adjustable, Config},
    sink::{Destination, Settings},
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
    "sink",
    "output",
    "output-max-bytes",
    "output-max-age",
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
        let outputs = match &new {
            Ok(new) if are_reached(&self.options, new) => &new.outputs,
            _ => &self.options.outputs,
        };
        let reopened = self.records.output.reopen(outputs);
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
            "iface" | "exclude-iface" => !self.are_attached(new),
            // Threads that write, and what they reach, are there from the start.
            "output" | "sink" => !are_reached(&self.options, new),
            name => !ALIVE.contains(&name),
        };
        changed
            .iter()
            .filter(|name| is_waiting(name))
            .cloned()
            .collect()
    }

    /// Whether other interfaces can be attached to: programs are at interfaces, and would be after a restart too.
    fn are_attached(&self, new: &RunOptions) -> bool {
        let old = &self.options;
        let is_same = old.interfaces.is_limited() == new.interfaces.is_limited();
        self.probe.attaches() && old.source == new.source && (is_same || old.source.is_some())
    }

    fn take(&mut self, mut new: RunOptions, changed: &BTreeSet<String>) {
        // Both are drawn by chance in each reading.
        let run = self.options.outputs.first().map(|output| output.run);
        for output in &mut new.outputs {
            output.run = run.unwrap_or(output.run);
        }
        if !changed.contains("identities") {
            new.identities = self.options.identities.clone();
        }
        self.engine.set(adjusted(&new, changed));
        self.records.output.set(&new.outputs, &host::name());
        self.records.named.set_patience(new.pending_after.0);
        if let Some((recorder, output)) = self.records.recorder.as_mut().zip(new.outputs.first()) {
            recorder.set_slow(output.filter.slow);
        }
        if changed.contains("port") {
            self.ports.name(new.ports.clone());
            self.watch();
        }
        if changed.contains("iface") || changed.contains("exclude-iface") {
            self.probe.select(new.interfaces.clone());
        }
        if changed.contains("log-level") {
            (self.set_log_level)(new.log_level);
        }
        self.options = new;
    }
}

/// Whether the new outputs are the old ones, but for their filters, names of fields, and files' names within a folder.
fn are_reached(old: &RunOptions, new: &RunOptions) -> bool {
    let is_same = |(old, new): (&Settings, &Settings)| {
        let is_file = |output: &Settings| matches!(output.destination, Destination::File(..));
        let same_place = old.destination == new.destination
            || (is_file(old) && is_file(new) && old.needs() == new.needs());
        old.name == new.name && same_place
    };
    old.outputs.len() == new.outputs.len() && old.outputs.iter().zip(&new.outputs).all(is_same)
}

/// What the engine is to know of it.
fn adjusted(new: &RunOptions, changed: &BTreeSet<String>) -> Adjustable {
    Adjustable {
        identity: changed
            .contains("identities")
            .then(|| new.identities.clone()),
        pending_after: new.pending_after.0,
        slow: new.slow.map_or(Config::SLOW, |slow| slow.0),
        phases: new.wants(EventName::Phase),
        requests: new.wants(EventName::Request),
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
        "iface" | "exclude-iface" => new.interfaces = old.interfaces.clone(),
        "sink" => new.outputs.clone_from(&old.outputs),
        "output" if old.outputs.len() != new.outputs.len() => {
            new.outputs.clone_from(&old.outputs);
        }
        "output" => {
            for (new, old) in new.outputs.iter_mut().zip(&old.outputs) {
                new.destination.clone_from(&old.destination);
            }
        }
        "events" => {
            for output in &mut new.outputs {
                if let Some(old) = old.outputs.iter().find(|old| old.name == output.name) {
                    output.filter.events = old.filter.events;
                }
            }
        }
        // No other is looked at again once the agent runs.
        _ => {}
    }
}
