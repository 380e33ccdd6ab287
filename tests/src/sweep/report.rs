//! How many variants of each kind are said rightly, and what is wrong with the others.

use std::{collections::BTreeMap, fmt};

use super::kinds::{Kind, Variant};

/// Examples shown of one difference.
const EXAMPLES: usize = 2;

#[derive(Debug, Default)]
struct Difference {
    count: usize,
    examples: Vec<String>,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Report {
    scores: BTreeMap<Kind, [usize; 2]>,
    differences: BTreeMap<(Kind, String), Difference>,
}

impl Report {
    /// One variant, and what is wrong in what is said of it: each `what: how`.
    pub fn add(&mut self, kind: Kind, connection: &str, variant: &Variant, wrong: &[String]) {
        let [right, all] = self.scores.entry(kind).or_default();
        *all += 1;
        *right += usize::from(wrong.is_empty());
        for one in wrong {
            let (what, how) = one.split_once(": ").unwrap_or((one, ""));
            let key = (kind, format!("{}: {what}", variant.group));
            let difference = self.differences.entry(key).or_default();
            difference.count += 1;
            let example = format!("{connection} {}: {how}", variant.label);
            difference.examples.push(example);
            // The order of threads must not show.
            difference.examples.sort();
            difference.examples.truncate(EXAMPLES);
        }
    }

    /// Takes over what another thread found.
    pub fn merge(&mut self, other: Self) {
        for (kind, [right, all]) in other.scores {
            let score = self.scores.entry(kind).or_default();
            score[0] += right;
            score[1] += all;
        }
        for (key, found) in other.differences {
            let difference = self.differences.entry(key).or_default();
            difference.count += found.count;
            difference.examples.extend(found.examples);
            difference.examples.sort();
            difference.examples.truncate(EXAMPLES);
        }
    }

    /// Variants that were looked at.
    pub fn variants(&self) -> usize {
        self.scores.values().map(|[_, all]| all).sum()
    }

    /// Whether all of them are said rightly.
    pub fn is_right(&self) -> bool {
        self.scores.values().all(|[right, all]| right == all)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut differences: Vec<_> = self.differences.iter().collect();
        differences
            .sort_by_key(|((kind, _), difference)| (*kind, std::cmp::Reverse(difference.count)));
        for ((kind, what), difference) in differences {
            writeln!(out, "{kind} {:>5} × {what}", difference.count)?;
            for example in &difference.examples {
                writeln!(out, "              {example}")?;
            }
        }
        for (kind, [right, all]) in &self.scores {
            let share = 100.0 * *right as f64 / (*all).max(1) as f64;
            writeln!(out, "{kind}: {right} of {all} right, {share:.1} %")?;
        }
        Ok(())
    }
}
