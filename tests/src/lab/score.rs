//! How often the first cause was right, and whether the agent was as sure as it should be.

use std::collections::BTreeMap;

use super::verdict::Verdicts;
use super::{Options, Ran, Verdict};

/// Where one bin of confidences ends and the next begins.
pub(super) const BINS: [f64; 6] = [0.5, 0.6, 0.7, 0.8, 0.9, 1.01];

/// All that was counted.
#[derive(Clone, Debug)]
pub struct Score {
    /// What was tried.
    pub options: Options,
    /// What was said of each login.
    pub verdicts: Vec<Verdict>,
    /// Logins that were to go wrong, and of which nobody noticed it.
    pub unfelt: usize,
    /// Logins that were to go wrong, and of which there is no line.
    pub untold: usize,
    /// Runs of each fault, and why some did not come about.
    pub runs: BTreeMap<&'static str, Runs>,
}

/// The runs of one fault.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// How many there were.
    pub count: usize,
    /// Why some did not come about.
    pub failed: Vec<String>,
}

impl Runs {
    /// How many came about.
    pub fn came_about(&self) -> usize {
        self.count.saturating_sub(self.failed.len())
    }
}

/// Verdicts of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// How many.
    pub count: u32,
    /// How many are right.
    pub right: u32,
    /// The sum of what was believed of them.
    pub believed: f64,
}

impl Tally {
    fn add(&mut self, believed: f64, is_right: bool) {
        self.count += 1;
        self.right += u32::from(is_right);
        self.believed += believed;
    }

    /// How many of one are right.
    pub fn share(&self) -> f64 {
        f64::from(self.right) / f64::from(self.count.max(1))
    }

    /// What was believed of them on the average.
    pub fn belief(&self) -> f64 {
        self.believed / f64::from(self.count.max(1))
    }
}

impl Score {
    pub(super) fn new(options: &Options, ran: &[Ran], verdicts: Verdicts) -> Self {
        let mut runs = BTreeMap::<_, Runs>::new();
        for ran in ran {
            let of_fault = runs.entry(ran.fault.name).or_default();
            of_fault.count += 1;
            of_fault.failed.extend(ran.failed.clone());
        }
        Self {
            options: options.clone(),
            verdicts: verdicts.all,
            unfelt: verdicts.unfelt,
            untold: verdicts.untold,
            runs,
        }
    }

    /// Verdicts on logins that went wrong.
    pub fn faulty(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(|verdict| verdict.faulty)
    }

    /// Verdicts on healthy ones: two of each login, one at its end and one at its connection's.
    pub fn healthy(&self) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(|verdict| !verdict.faulty)
    }

    /// All that went wrong, or those of one fault.
    pub fn of(&self, fault: Option<&str>) -> Tally {
        let mut tally = Tally::default();
        let of_fault = |verdict: &&Verdict| fault.is_none_or(|fault| fault == verdict.fault);
        for verdict in self.faulty().filter(of_fault) {
            tally.add(first(verdict).1, verdict.is_right());
        }
        tally
    }

    /// By what was told first, and how often of which fault.
    pub fn confusion(&self) -> BTreeMap<&'static str, BTreeMap<String, u32>> {
        let mut rows = BTreeMap::<_, BTreeMap<_, u32>>::new();
        for verdict in self.faulty() {
            let row = rows.entry(verdict.fault).or_default();
            *row.entry(first(verdict).0.to_owned()).or_default() += 1;
        }
        rows
    }

    /// By the first cause.
    pub fn by_cause(&self) -> BTreeMap<String, Tally> {
        let mut rows = BTreeMap::<_, Tally>::new();
        for verdict in self.faulty() {
            let (cause, confidence) = first(verdict);
            rows.entry(cause.to_owned())
                .or_default()
                .add(confidence, verdict.is_right());
        }
        rows
    }

    /// By how sure the first cause was told.
    pub fn bins(&self) -> [Tally; BINS.len()] {
        let mut bins = [Tally::default(); BINS.len()];
        for verdict in self.faulty().filter(|verdict| !verdict.told.is_empty()) {
            let (_, confidence) = first(verdict);
            let bin = BINS.iter().position(|end| confidence < *end - 1e-9);
            bins[bin.unwrap_or(BINS.len() - 1)].add(confidence, verdict.is_right());
        }
        bins
    }

    /// The mean square of what confidence and truth differ by (Brier 1950): 0 is perfect, 0.25 what one
    /// gets who always says 0.5.
    pub fn brier(&self) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for verdict in self.faulty() {
            let truth = if verdict.is_right() { 1.0 } else { 0.0 };
            sum += (first(verdict).1 - truth).powi(2);
            count += 1.0;
        }
        sum / f64::max(count, 1.0)
    }

    /// Healthy logins that were told a cause as more likely than not.
    pub fn alarms(&self) -> Vec<&Verdict> {
        self.healthy()
            .filter(|verdict| !verdict.is_right())
            .collect()
    }

    /// Of how many connections replay and the agent tell, and of how many the same causes. What the host
    /// knows of a client replay does not.
    pub fn agreed(&self) -> (usize, usize) {
        let is_hosts = |verdict: &&Verdict| verdict.first_cause() == Some("client_starved");
        agreed(
            self.verdicts
                .iter()
                .filter(|verdict| !is_hosts(verdict))
                .filter_map(|verdict| Some((verdict.first_cause(), verdict.replayed_cause()?))),
        )
    }

    /// The same of the agents at the two sources of packets.
    pub fn agreed_elsewhere(&self) -> (usize, usize) {
        agreed(
            self.verdicts
                .iter()
                .filter_map(|verdict| Some((verdict.first_cause(), verdict.elsewhere_cause()?))),
        )
    }
}

impl Verdict {
    /// The first cause, if there is one.
    pub fn first_cause(&self) -> Option<&str> {
        Some(&self.told.first()?.cause)
    }

    /// What replay says first, if it knows of the connection.
    pub fn replayed_cause(&self) -> Option<Option<&str>> {
        let told = self.replayed.as_ref()?;
        Some(told.first().map(|told| told.cause.as_str()))
    }

    /// The same of the agent at the other source.
    pub fn elsewhere_cause(&self) -> Option<Option<&str>> {
        let told = self.elsewhere.as_ref()?;
        Some(told.first().map(|told| told.cause.as_str()))
    }
}

fn agreed<'a>(pairs: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>) -> (usize, usize) {
    let (mut all, mut same) = (0, 0);
    for (one, other) in pairs {
        all += 1;
        same += usize::from(one == other);
    }
    (all, same)
}

/// The first cause and how sure it was told.
fn first(verdict: &Verdict) -> (&str, f64) {
    verdict
        .told
        .first()
        .map_or(("none", 0.0), |told| (told.cause.as_str(), told.confidence))
}
