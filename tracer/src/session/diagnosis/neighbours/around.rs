//! What is told of a login's neighbours.

use super::usual::Typical;
use crate::record::PhaseName;

/// What others did meanwhile. Durations are nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::session) struct Around {
    /// The phase of the wait that the others' are compared with, the longest one for the server.
    pub(in crate::session) phase: Option<PhaseName>,
    /// Other logins to the server that are not decided.
    pub(in crate::session) in_flight: u32,
    /// Others that waited for the server in the same phase at the same time, at least half as long.
    pub(in crate::session) stalled: u32,
    /// Of these, those that were answered at the same moment.
    pub(in crate::session) released: u32,
    /// Of these, those that had asked at another moment: they were waiting for the same thing.
    pub(in crate::session) joined: u32,
    /// Of those that stalled, those that had asked at another moment and waited as long as this one:
    /// each takes its time.
    pub(in crate::session) own_pace: u32,
    /// Moments at which others were answered in that phase while this one waited, one after the other.
    pub(in crate::session) steps: u32,
    /// Of those that were answered while this one waited, those that had asked before it.
    pub(in crate::session) in_order: u32,
    /// Others that asked after it and were answered before it; or asked before it and were not yet, where the first
    /// answer was not just before its own.
    pub(in crate::session) out_of_order: u32,
    /// How many the server worked on at once, by the pace of its answers; 0 where too few show it.
    pub(in crate::session) abreast: u32,
    /// The shortest wait of these and of this one; 0 where it was not answered.
    pub(in crate::session) shortest: u64,
    /// How long after the last of them this one was answered.
    pub(in crate::session) after_last: u64,
    /// Others that began while this one had waited for long, and did at once what their clients wanted.
    pub(in crate::session) passed: u32,
    /// How many waited in that phase when this one asked.
    pub(in crate::session) ahead: u32,
    /// Waits of the last logins of the same kind in the same phase, this one's among them.
    pub(in crate::session) alike: Spread,
    /// Of these, those that nobody else waited with.
    pub(in crate::session) alone: Spread,
    /// Of the last few seconds, logins that ended as this one did.
    pub(in crate::session) same_end: u32,
    /// Of the last few seconds, logins that did what their clients wanted.
    pub(in crate::session) good: u32,
    /// Of these, those that began after one had ended as this one did.
    pub(in crate::session) good_between: u32,
    /// Of the last logins to the server, those that began with TLS and did what their clients wanted.
    pub(in crate::session) good_strict: u32,
    /// And those that began with PRELOGIN.
    pub(in crate::session) good_plain: u32,
    /// Of the last few seconds, logins whose SYN had to be sent again.
    pub(in crate::session) syn_again: u32,
    /// Of the last few seconds, logins whose data had to be sent again.
    pub(in crate::session) resent: u32,
    /// Logins that the same client began within a second of this one.
    pub(in crate::session) begun_by_client: u32,
    /// Others of the same client that are not decided.
    pub(in crate::session) in_flight_of_client: u32,
    /// How many logins of the same client began as soon as the one before them had ended, this one's
    /// too, without a break.
    pub(in crate::session) one_after_the_other: u32,
    /// The same client was sent on to this port shortly before.
    pub(in crate::session) was_sent_here: bool,
    /// What waits for the server usually are, by phase.
    pub(in crate::session) usual: [Option<Typical>; PhaseName::LOGIN.len()],
    /// What the round trip usually is.
    pub(in crate::session) usual_round_trip: Option<u64>,
}

/// How long waits were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::session) struct Spread {
    pub(in crate::session) count: u32,
    pub(in crate::session) least: u64,
    pub(in crate::session) most: u64,
}

impl Spread {
    pub(super) fn add(&mut self, value: u64) {
        self.least = if self.count == 0 {
            value
        } else {
            self.least.min(value)
        };
        self.most = self.most.max(value);
        self.count += 1;
    }

    /// Whether they differ by no more than this part of the longest.
    pub(in crate::session) fn is_within(&self, part: f64) -> bool {
        self.count > 0 && (self.most - self.least) as f64 <= part * self.most as f64
    }
}

impl Around {
    /// It without what others waited for, as it is of a wait in another phase.
    pub(in crate::session) fn but_waits(self) -> Self {
        Self {
            phase: None,
            stalled: 0,
            released: 0,
            joined: 0,
            own_pace: 0,
            steps: 0,
            in_order: 0,
            out_of_order: 0,
            abreast: 0,
            shortest: 0,
            after_last: 0,
            passed: 0,
            ahead: 0,
            alike: Spread::default(),
            alone: Spread::default(),
            ..self
        }
    }

    /// Whether those that wait are answered in no order.
    pub(in crate::session) const fn is_mixed(&self) -> bool {
        self.out_of_order > 0 && self.out_of_order > self.in_order / 2
    }

    /// What the wait for the server usually is in a phase.
    pub(in crate::session) fn usual(&self, phase: PhaseName) -> Option<u64> {
        self.typical(phase).map(|typical| typical.p50)
    }

    /// The same, with what one in a hundred takes.
    pub(in crate::session) fn typical(&self, phase: PhaseName) -> Option<Typical> {
        let place = PhaseName::LOGIN.iter().position(|name| *name == phase)?;
        self.usual[place]
    }

    /// The wait in a phase is usually this.
    #[cfg(test)]
    pub(in crate::session) fn with_usual(self, phase: PhaseName, usual: u64) -> Self {
        let typical = Typical {
            p50: usual,
            p99: None,
        };
        self.with_typical(phase, typical)
    }

    /// The same, with what one in a hundred takes.
    #[cfg(test)]
    pub(in crate::session) fn with_typical(mut self, phase: PhaseName, typical: Typical) -> Self {
        let place = PhaseName::LOGIN.iter().position(|name| *name == phase);
        self.usual[place.expect("a login's phase")] = Some(typical);
        self
    }
}
