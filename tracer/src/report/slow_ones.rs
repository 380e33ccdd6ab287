//! Which logins are shown whole: the worst of each kind, and of each server one that went as usual.

use std::collections::HashMap;

use super::line::{Facts, Phase};

/// Kinds of trouble that are told apart.
const KINDS: usize = 64;
/// Logins of a kind that are kept.
const OF_A_KIND: usize = 4;
/// Servers of which a usual login is kept.
const SERVERS: usize = 200;
/// Logins that went well among which the usual one is looked for.
const SAMPLES: usize = 9;

/// A login that is shown.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) attempt: Option<String>,
    pub(super) facts: Facts,
    pub(super) failed: bool,
}

impl Kept {
    pub(super) fn took(&self) -> u64 {
        let login = self.facts.login.as_ref();
        login
            .and_then(|login| login.duration_ns)
            .unwrap_or_default()
    }

    fn server(&self) -> String {
        self.facts
            .server
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Chosen {
    most: usize,
    /// By server, outcome and cause: how many there were, and the worst of them.
    kinds: HashMap<[String; 3], (u64, Vec<Kept>)>,
    usual: HashMap<String, Vec<Kept>>,
}

impl Chosen {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            kinds: HashMap::new(),
            usual: HashMap::new(),
        }
    }

    /// Keeps it, if it is worth to be shown.
    pub(super) fn consider(
        &mut self,
        attempt: Option<String>,
        facts: Facts,
        failed: bool,
        slow: bool,
    ) {
        let kept = Kept {
            attempt,
            facts,
            failed,
        };
        if failed || slow {
            self.keep(kept);
        } else {
            self.sample(kept);
        }
    }

    fn keep(&mut self, kept: Kept) {
        let outcome = kept
            .facts
            .login
            .as_ref()
            .and_then(|login| login.outcome.clone());
        let cause = kept
            .facts
            .diagnosis
            .first()
            .map(|cause| cause.cause.clone());
        let kind = [
            kept.server(),
            outcome.unwrap_or_default(),
            cause.unwrap_or_default(),
        ];
        if self.kinds.len() >= KINDS && !self.kinds.contains_key(&kind) {
            return;
        }
        let (count, worst) = self.kinds.entry(kind).or_default();
        *count += 1;
        let at = worst.partition_point(|other| other.took() >= kept.took());
        worst.insert(at, kept);
        worst.truncate(OF_A_KIND);
    }

    fn sample(&mut self, kept: Kept) {
        let went_well = kept
            .facts
            .login
            .as_ref()
            .and_then(|login| login.outcome.as_deref());
        if went_well != Some("success") || kept.facts.phases.is_empty() {
            return;
        }
        let server = kept.server();
        if self.usual.len() >= SERVERS && !self.usual.contains_key(&server) {
            return;
        }
        let samples = self.usual.entry(server).or_default();
        if samples.len() < SAMPLES {
            samples.push(kept);
        }
    }

    /// Whether a login of this attempt is kept.
    pub(super) fn wants(&self, attempt: &str) -> bool {
        let mut kept = self.kinds.values().flat_map(|(_, worst)| worst);
        kept.any(|kept| kept.attempt.as_deref() == Some(attempt))
    }

    /// The worst, of each kind one before any has a second, the kinds with the most logins first.
    pub(super) fn worst(&self) -> Vec<&Kept> {
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by(|(one, (few, _)), (other, (many, _))| many.cmp(few).then(one.cmp(other)));
        let rounds = (0..OF_A_KIND).flat_map(|round| {
            kinds
                .iter()
                .filter_map(move |(_, (_, worst))| worst.get(round))
        });
        rounds.take(self.most).collect()
    }

    /// One that went as usual, to the same server.
    pub(super) fn usual(&self, of: &Kept) -> Option<&Kept> {
        let samples = self.usual.get(&of.server())?;
        let mut samples: Vec<_> = samples.iter().collect();
        samples.sort_by_key(|kept| kept.took());
        samples.get(samples.len() / 2).copied()
    }
}

/// A login's phases in their order.
pub(super) fn in_order(facts: &Facts) -> Vec<(&str, &Phase)> {
    let mut phases: Vec<_> = facts
        .phases
        .iter()
        .map(|(name, phase)| (name.as_str(), phase))
        .collect();
    phases.sort_by_key(|(_, phase)| phase.start_ns);
    phases
}
