//! A login that ends somewhere.

use serde_json::Value;

use super::lines::{Seen, demand, number, phases, sums, text};
use crate::sweep::{engine::Lines, packet::Side, truth::Waits};

/// What must be said of it; what is empty or absent is not asked for.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// What it may be called.
    pub outcomes: Vec<&'static str>,
    /// What it may not be called.
    pub never: Vec<&'static str>,
    /// Who may be named as the debtor.
    pub owed_by: Vec<Option<&'static str>>,
    /// The phase it ended in.
    pub phase: Vec<&'static str>,
    /// Whose wait it was, and how much of the last phase it must be at least.
    pub wait: Option<(Vec<&'static str>, u64)>,
    /// From the first packet to the deciding one, at least and at most.
    pub duration: Option<[u64; 2]>,
    /// The server still owed.
    pub abnormal: bool,
    /// Who closed, and how.
    pub close: Option<(&'static str, &'static str)>,
    /// Who was waited for in each phase, and the round trip of which some may be the network's.
    pub waits: (Vec<Waits>, u64),
    /// Phases that are as they were when the login was decided: durations by name.
    pub decided: Vec<(String, u64)>,
}

impl Ended {
    pub(super) fn judge(&self, said: &Lines) -> Vec<String> {
        let mut wrong = Vec::new();
        let [logins, closes] = [said.logins.len(), said.closes.len()];
        // One line each, always.
        demand(&mut wrong, logins == 1, "number of logins", || {
            logins.to_string()
        });
        demand(&mut wrong, closes == 1, "number of closes", || {
            closes.to_string()
        });
        if let Some(login) = said.logins.first() {
            self.login(login, &mut wrong);
        }
        if let Some(close) = said.closes.first() {
            self.end(close, &mut wrong);
        }
        wrong
    }

    fn login(&self, login: &Value, wrong: &mut Vec<String>) {
        let outcome = text(login, "login.outcome").unwrap_or("none");
        let may_be = self.outcomes.is_empty() || self.outcomes.contains(&outcome);
        let what = format!("outcome {outcome}, right {}", self.outcomes.join(" or "));
        demand(wrong, may_be, &what, String::new);
        let never = self.never.contains(&outcome);
        demand(
            wrong,
            !never,
            &format!("outcome {outcome}, which it is not"),
            String::new,
        );
        let owed_by = text(login, "login.owed_by");
        let may_be = self.owed_by.is_empty() || self.owed_by.contains(&owed_by);
        let what = format!("owed_by {owed_by:?}, right {:?}", self.owed_by);
        demand(wrong, may_be, &what, String::new);
        wrong.extend(sums(login, Seen::All));
        self.last_phase(login, wrong);
        let duration = number(login, "login.duration_ns");
        if let Some([least, most]) = self.duration {
            let fits = (least..=most).contains(&duration);
            demand(wrong, fits, "duration", || {
                format!("{duration}, right {least} to {most}")
            });
        }
        self.waits(login, wrong);
        if !self.decided.is_empty() {
            let told: Vec<_> = phases(login)
                .into_iter()
                .map(|(name, phase)| (name.to_owned(), number(phase, "duration_ns")))
                .collect();
            demand(
                wrong,
                told == self.decided,
                "phases of a decided login",
                || format!("{told:?}, right {:?}", self.decided),
            );
        }
    }

    /// Each side's share is what it owed; of the remote side's, up to a round trip each time that a
    /// word of the other went before is the network's.
    fn waits(&self, login: &Value, wrong: &mut Vec<String>) {
        let (waits, round_trip) = &self.waits;
        let vantage = text(login, "connection.vantage").unwrap_or("unknown");
        for waits in waits.iter().filter(|waits| waits.is_known) {
            for side in [Side::Client, Side::Server] {
                let path = format!("phases.{}.{}_ns", waits.phase, side.name());
                let is_local = vantage == side.name() || vantage == "both";
                let trips = if is_local {
                    0
                } else {
                    waits.turns[side as usize] * round_trip
                };
                let most = waits.of(side);
                let right = most.saturating_sub(trips)..=most;
                let told = number(login, &path);
                let what = format!("wait for the {} in {}", side.name(), waits.phase);
                demand(wrong, right.contains(&told), &what, || {
                    format!("{told}, right {right:?}")
                });
            }
        }
    }

    fn last_phase(&self, login: &Value, wrong: &mut Vec<String>) {
        if self.phase.is_empty() {
            return;
        }
        let phases = phases(login);
        let Some(((name, last), earlier)) = phases.split_last() else {
            wrong.push("no phase".to_owned());
            return;
        };
        let what = format!("ended in {name}, right {}", self.phase.join(" or "));
        demand(wrong, self.phase.contains(name), &what, String::new);
        demand(
            wrong,
            last["complete"] == false,
            "the last phase is complete",
            || (*name).to_owned(),
        );
        for (name, phase) in earlier {
            demand(
                wrong,
                phase["complete"] == true,
                "an earlier phase is incomplete",
                || (*name).to_owned(),
            );
        }
        if let Some((sides, least)) = &self.wait {
            let waits = sides.iter().map(|side| number(last, &format!("{side}_ns")));
            let waited: u64 = waits.sum();
            let what = format!("too little wait for {} in {name}", sides.join(" and "));
            demand(wrong, waited >= *least, &what, || {
                format!("{waited}, right {least}")
            });
        }
    }

    fn end(&self, close: &Value, wrong: &mut Vec<String>) {
        let class = text(close, "close.class").unwrap_or("none");
        let fits = !self.abnormal || class == "abnormal";
        demand(
            wrong,
            fits,
            &format!("close {class}, right abnormal"),
            String::new,
        );
        let phase = text(close, "close.phase").unwrap_or("none");
        let fits = self.phase.is_empty() || self.close.is_none() || self.phase.contains(&phase);
        let what = format!("closed in {phase}, right {}", self.phase.join(" or "));
        demand(wrong, fits, &what, String::new);
        if let Some(expected) = self.close {
            let told = (
                text(close, "close.by").unwrap_or("none"),
                text(close, "close.how").unwrap_or("none"),
            );
            let what = format!("close {told:?}, right {expected:?}");
            demand(wrong, told == expected, &what, String::new);
        }
    }
}
