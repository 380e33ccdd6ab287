//! The longest wait, whose it was, and how likely it was this login's own.

use std::cmp::Reverse;

use serde_json::Value;

use super::{Part, Symptoms};
use crate::{
    record::{AuthKind, Nanos, PhaseName, Side, Waited},
    session::diagnosis::found::Evidence,
};

/// A kernel acknowledges what it has received no later than this, nanoseconds: it may delay that for 0.2 s, and the way
/// takes its time.
const AT_ONCE: u64 = 400_000_000;

/// Whoever was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Who {
    Client,
    Server,
    Network,
}

impl Who {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Network => "network",
        }
    }
}

/// The longest wait of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Worst {
    pub(in crate::session) phase: PhaseName,
    pub(in crate::session) who: Who,
    /// Nanoseconds.
    pub(in crate::session) took: u64,
}

impl Symptoms<'_> {
    /// How long somebody was waited for in a phase.
    pub(in crate::session::diagnosis) fn waited(&self, name: PhaseName, who: Who) -> u64 {
        let waited = self.part(name).and_then(|part| part.waited);
        waited.map_or(0, |waited| of(&waited, who))
    }

    /// The one wait that is looked at, or the longest; the first of those that are equally long. Most causes ask for
    /// it.
    pub(in crate::session::diagnosis) fn worst(&self) -> Option<Worst> {
        let longer = |longest: Worst, wait: Worst| {
            if wait.took > longest.took {
                wait
            } else {
                longest
            }
        };
        let longest = || self.waits().reduce(longer);
        self.looked_at.or_else(longest).filter(|wait| wait.took > 0)
    }

    /// How long everybody was waited for in each phase.
    fn waits(&self) -> impl Iterator<Item = Worst> {
        let whos = [Who::Server, Who::Client, Who::Network];
        self.parts.iter().flat_map(move |part| {
            let waited = part.waited.unwrap_or_default();
            whos.map(|who| Worst {
                phase: part.name,
                who,
                took: of(&waited, who),
            })
        })
    }

    /// The other waits that were long, beside the longest one: the longest of them first.
    pub(in crate::session::diagnosis) fn other_stalls(&self) -> Vec<Worst> {
        let Some(longest) = self.stall() else {
            return Vec::new();
        };
        let is_long = |wait: &Worst| wait.took >= self.slow && wait.took >= longest.took / 5;
        let others = self.waits().filter(|wait| *wait != longest);
        let mut others: Vec<_> = others.filter(is_long).collect();
        others.sort_by_key(|wait| Reverse(wait.took));
        others
    }

    /// The longest wait, where it is long.
    pub(in crate::session::diagnosis) fn stall(&self) -> Option<Worst> {
        self.worst().filter(|worst| {
            let part = self.part(worst.phase);
            worst.took >= self.slow || part.is_some_and(|part| self.is_unusual(part))
                // Or most of a login that is.
                || (self.duration >= self.slow && worst.took >= self.duration / 5 * 2)
        })
    }

    /// The longest wait, where it is long and for that one.
    pub(in crate::session::diagnosis) fn stalled_by(&self, who: Who) -> Option<Worst> {
        self.stall().filter(|worst| worst.who == who)
    }

    /// The longest wait, where the server kept it waiting and packets got through.
    pub(in crate::session::diagnosis) fn server_stall(&self) -> Option<Worst> {
        let heard = !(self.lost.by == Some(Side::Client) && self.lost.for_good)
            && self.host.dropped.is_empty();
        self.stalled_by(Who::Server).filter(|_| heard)
    }

    /// Whether data of this login or of others is lost too, and not SYNs alone.
    pub(in crate::session::diagnosis) fn loses_data(&self) -> bool {
        let mut later = self.parts.iter();
        let own = later.any(|part| part.name != PhaseName::Handshake && part.resent > 0);
        own || self.around.resent > self.around.syn_again / 3
    }

    /// How sure it is that a wait for the server is this login's own, and not one with others for the
    /// same thing.
    pub(in crate::session::diagnosis) fn own_share(&self) -> f64 {
        let around = &self.around;
        match () {
            () if self.follows() => 0.45,
            () if around.stalled < 2 => 0.75,
            // They wait for each other.
            () if self.queues() => 0.45,
            // They do not.
            () if around.released < 2 && self.goes_abreast() => 0.7,
            () if around.own_pace >= 2 && around.own_pace > around.joined => 0.75,
            // They came together and left together: who knows.
            () if around.joined < 2 && around.steps < 2 && around.released >= 2 => 0.6,
            () => 0.45,
        }
    }

    /// The longest wait, where it was for the answer to a token that a domain controller is asked about.
    pub(in crate::session::diagnosis) fn controller_stall(&self) -> Option<Worst> {
        let asks = self.auth.is_some() && self.controller_share() > 0.0;
        self.server_stall()
            .filter(|stall| asks && stall.phase == PhaseName::Auth)
    }

    /// Whether logins of its kind wait for each other: they are answered one after the other, and who is
    /// alone waits less. A single answer shows that only where it is known how long one alone waits.
    pub(in crate::session::diagnosis) fn queues(&self) -> bool {
        let around = &self.around;
        let took = self.worst().map_or(0, |worst| worst.took);
        let alone = around.alone.count > 0 && around.alone.most >= took / 5 * 4;
        let stepped = around.steps >= 2 || around.steps == 1 && around.alone.count > 0;
        stepped && around.ahead >= 1 && !alone && !self.goes_abreast()
    }

    /// Whether it waited for one other, and then for as long as one that is alone does.
    pub(in crate::session::diagnosis) fn follows(&self) -> bool {
        let around = &self.around;
        let turn = around.after_last;
        let as_long =
            turn >= around.alone.least / 4 * 3 && turn <= (around.alone.most / 4).saturating_mul(5);
        around.steps >= 1 && around.ahead == 1 && around.alone.count > 0 && as_long && self.queues()
    }

    /// Whether the server works on all that wait at once, so that none waits for another: it answers sooner one
    /// after the other than it could if it took few at a time, or in any order.
    pub(in crate::session::diagnosis) fn goes_abreast(&self) -> bool {
        let around = &self.around;
        let all = around.stalled.saturating_add(1);
        let took = self.worst().map_or(0, |worst| worst.took);
        // Who finds fewer waiting than it takes at once does not wait for them.
        let alike = took / 3 * 2 < around.shortest;
        let quick = alike && around.abreast > around.ahead.max(1)
            || all >= 6 && around.abreast >= all - all / 4;
        let most = around.abreast.min(around.in_order.saturating_add(1));
        let mixed = around.out_of_order >= most.max(2) && around.is_mixed();
        quick || mixed
    }

    /// How likely it is that such a wait is a domain controller's.
    pub(in crate::session::diagnosis) fn controller_share(&self) -> f64 {
        match self.auth_kind() {
            AuthKind::Ntlm => 1.0,
            AuthKind::Spnego => 0.9,
            // Inside TLS: who has several rounds is no SQL login.
            AuthKind::Unknown => 0.85,
            // A ticket is checked without it, as a rule.
            AuthKind::Kerberos => 0.6,
            AuthKind::Sql | AuthKind::Entra => 0.0,
        }
    }

    /// The phase in which it ended, or is; of a login that went well the longest one.
    fn longest_or_last(&self) -> Option<&Part> {
        if self.stopped_in().is_some() {
            return self.parts.last();
        }
        self.parts.iter().max_by_key(|part| part.duration)
    }

    /// Adds where the time went, or where it ended, to what a cause rests on.
    pub(in crate::session::diagnosis) fn place(&self, evidence: &mut Evidence) {
        let mut add = |name, value: Value| {
            if !evidence.iter().any(|(known, _)| *known == name) {
                evidence.push((name, value));
            }
        };
        let stall = self.stall().or(self.worst().filter(|_| self.is_slow()));
        if let Some(stall) = stall {
            add("phase", stall.phase.as_str().into());
            add("side", stall.who.as_str().into());
            let took = serde_json::to_value(Nanos(stall.took));
            add("waited_ns", took.unwrap_or_default());
            if stall.who == Who::Server
                && let Some(typical) = self.around.typical(stall.phase)
            {
                let told = |nanoseconds| serde_json::to_value(Nanos(nanoseconds)).ok();
                for (name, value) in [
                    ("usual_ns", told(typical.p50)),
                    ("usual_p99_ns", typical.p99.and_then(told)),
                ] {
                    if let Some(value) = value {
                        add(name, value);
                    }
                }
            }
            if stall.who == Who::Server
                && let Some((phase, soon)) = self.acknowledged
                && phase == stall.phase
                && soon <= AT_ONCE
            {
                let soon = serde_json::to_value(Nanos(soon));
                add("acknowledged_ns", soon.unwrap_or_default());
            }
            let is_open = self.part(stall.phase).is_some_and(|part| !part.complete);
            if stall.who == Who::Server && is_open {
                add("unanswered", true.into());
            }
        } else if let Some(part) = self.longest_or_last() {
            add("phase", part.name.as_str().into());
            if let Some(ended) = self.ended {
                let by = match ended.by {
                    Side::Client => "client",
                    Side::Server => "server",
                };
                add("ended_by", by.into());
            }
        }
        if let Some(reason) = self.reset_here() {
            add("reset_reason", reason.into());
        }
    }
}

fn of(waited: &Waited, who: Who) -> u64 {
    match who {
        Who::Client => waited.client_ns.0,
        Who::Server => waited.server_ns.0,
        Who::Network => waited.network_ns.0,
    }
}
