//! What the host says of the wait, weighed.

use super::{Symptoms, Who};
use crate::{
    record::{Outcome, Side, Whom},
    session::host::{BusyFacts, DropFacts, ListenerFacts},
};

/// Who waits for longer, nanoseconds, does not only wait for a processor: with ten tasks for each a turn comes within
/// tenths of a second, and a wait has few of them.
const FOR_A_PROCESSOR: u64 = 5_000_000_000;

/// Why a client could not go on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::session::diagnosis) struct Starved {
    /// How sure that is.
    pub(in crate::session::diagnosis) confidence: f64,
    pub(in crate::session::diagnosis) whom: Whom,
}

/// The kernel's word where nobody has a port, or a connection (`enum sk_rst_reason`).
pub(in crate::session::diagnosis) const NO_SOCKET: &str = "NO_SOCKET";

impl Symptoms<'_> {
    /// Whether the client, which owed for long, could not run, or did not read. The strongest reason counts.
    pub(in crate::session::diagnosis) fn starved(&self) -> Option<Starved> {
        let stall = self.stalled_by(Who::Client)?;
        let process = &self.host.process;
        // What was measured over a much longer time may have happened at another.
        let is_close = process.span <= stall.took.saturating_mul(3);
        let weighed = |time: Option<u64>, most: f64| {
            let share = time.unwrap_or(0) as f64 / stall.took as f64;
            match share {
                _ if !is_close => None,
                0.5.. => Some(most),
                0.2.. => Some(most - 0.25),
                _ => None,
            }
        };
        let unread = self.host.socket.unread.filter(|bytes| *bytes > 0);
        // What lies unread is then why, and not whose fault.
        let for_host = |sure: Option<f64>, most: f64| {
            let more = if unread.is_some() { 0.2 } else { 0.0 };
            Some((sure? + more).min(most))
        };
        let by_time = weighed(process.throttled, 0.92);
        let reasons = [
            (process.stopped.map(|_| 0.95), Whom::Application),
            (for_host(by_time.or(self.by_periods()), 0.92), Whom::Host),
            (for_host(weighed(process.queued, 0.87), 0.87), Whom::Host),
            (unread.map(|_| 0.8), Whom::Application),
        ];
        let reasons = reasons.into_iter().filter_map(|(confidence, whom)| {
            Some(Starved {
                confidence: confidence?,
                whom,
            })
        });
        reasons.reduce(|one, other| {
            if other.confidence > one.confidence {
                other
            } else {
                one
            }
        })
    }

    /// How sure it is that a limit held it back, by the periods in which it did: the time is known only once
    /// it is over.
    fn by_periods(&self) -> Option<f64> {
        let process = &self.host.process;
        let (throttled, all) = (process.throttled_periods?, process.periods?);
        (all > 0 && throttled >= all.div_ceil(2)).then_some(0.65)
    }

    /// How busy this host was, where a login went well that was slow, the host had no processor free for nearly all of
    /// its time, and no wait was longer than one for a processor is.
    pub(in crate::session::diagnosis) fn is_short_of_processors(&self) -> Option<BusyFacts> {
        let well = self.outcome.is_some_and(Outcome::is_good);
        let long = self
            .stall()
            .is_some_and(|stall| stall.took > FOR_A_PROCESSOR);
        self.host
            .busy
            .filter(|busy| well && !long && busy.is_short())
    }

    /// Whether its SYN was not answered at once: it was sent again, or nothing came of it.
    pub(in crate::session::diagnosis) fn misses_its_syn(&self) -> bool {
        let again = self.tcp.syn_retransmits.is_some_and(|again| again > 0);
        again || self.ended_as(&[Outcome::Unreachable])
    }

    /// The socket that the server listens on, where it has dropped SYNs meanwhile, and this login's was not
    /// answered.
    pub(in crate::session::diagnosis) fn dropping_listener(&self) -> Option<ListenerFacts> {
        let listener = self.host.listener?;
        (self.misses_its_syn() && listener.dropped > 0).then_some(listener)
    }

    /// Packets of a side that this host's own kernel threw away meanwhile.
    pub(in crate::session::diagnosis) fn dropped_here(&self, of: Side) -> Option<&DropFacts> {
        self.host.dropped.iter().find(|dropped| dropped.of == of)
    }

    /// Why this host's own kernel has ended it by a reset, where it has.
    pub(in crate::session::diagnosis) fn reset_here(&self) -> Option<&str> {
        let ended = self.ended.filter(|ended| ended.reset)?;
        let mut resets = self.host.resets.iter();
        let reset = resets.find(|reset| reset.by == ended.by)?;
        Some(reset.reason.as_str())
    }
}
