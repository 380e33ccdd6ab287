//! Handing lines to somebody who takes them or not: what every kind of receiver has in common.

use std::{
    fmt, io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{figures::Figures, line::Line, outlet::Outlet, shared::Shared};
use crate::record::LossReason;

/// How long is waited before the first further try.
const SOON: Duration = Duration::from_millis(100);
/// How long is waited at most.
const LATE: Duration = Duration::from_secs(30);
/// How long is waited at most where the receiver asks for it: one that says a day by mistake is not left for so long.
const LATEST: Duration = Duration::from_mins(5);
/// Lines handed over at once, where no spool gathers them.
const GATHERED: usize = 256;

/// Whoever hands lines to a receiver.
pub(super) trait Deliver: Send {
    /// Hands over lines, in their order: all of them, or it says why not. What was handed over before an error may come
    /// again.
    fn deliver(&mut self, lines: &[Line]) -> Result<Delivered, Trouble>;

    /// The agent is at work; figures are to be had from there.
    fn begin(&mut self, _figures: Option<Arc<dyn Figures>>) {}

    /// When it has figures to tell, whether or not there are lines; never unless it says so.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Tells its figures: how many of them were refused.
    fn tell(&mut self) -> Result<Delivered, Trouble> {
        Ok(Delivered::default())
    }

    /// How long lines are gathered before they are handed over.
    fn lull(&self) -> Duration {
        Duration::ZERO
    }
}

/// What the receiver did with lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Delivered {
    /// So many it has taken and will not have.
    pub(super) refused: u64,
}

/// Why lines were not handed over.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may go well another time: after this, where the receiver said so.
    Later(String, Option<Duration>),
    /// It never will.
    Never(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later(why, _) | Self::Never(why) => f.write_str(why),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Later(error.to_string(), None)
    }
}

/// How long to wait before the next try: twice as long each time, and never as long as others do.
#[derive(Debug)]
pub(super) struct Patience {
    next: Duration,
}

impl Patience {
    pub(super) const fn new() -> Self {
        Self { next: SOON }
    }

    /// What is waited now: what the receiver asked for, where that is longer and not too long.
    pub(super) fn wait(&mut self, asked: Option<Duration>) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(LATE);
        // Between half of it and all of it.
        let share = getrandom::u32().map_or(1.0, |drawn| f64::from(drawn) / f64::from(u32::MAX));
        let own = now.mul_f64(0.5 + share / 2.0);
        asked.map_or(own, |asked| asked.min(LATEST).max(own))
    }
}

/// A receiver on this host: lines are handed over by the thread that writes them, which waits until they are taken. What
/// comes meanwhile fills the queue before it.
pub(super) struct Direct {
    deliver: Box<dyn Deliver>,
    lines: Vec<Line>,
    shared: Arc<Shared>,
}

impl Direct {
    pub(super) fn new(deliver: Box<dyn Deliver>, shared: Arc<Shared>) -> Self {
        Self {
            deliver,
            lines: Vec::new(),
            shared,
        }
    }
}

impl Outlet for Direct {
    fn take(&mut self, line: &Line) -> io::Result<()> {
        self.lines.push(line.clone());
        if self.lines.len() < GATHERED {
            return Ok(());
        }
        self.flush()
    }

    fn is_waiting(&self) -> bool {
        !self.lines.is_empty()
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut patience = Patience::new();
        while !self.lines.is_empty() {
            let lines = std::mem::take(&mut self.lines);
            match self.deliver.deliver(&lines) {
                Ok(Delivered { refused }) => {
                    self.shared.well();
                    self.shared.count_refused(&lines, refused);
                }
                Err(Trouble::Never(why)) => {
                    self.shared.trouble(&why);
                    for line in &lines {
                        self.shared
                            .count_lost(LossReason::SinkRefused, line.event, line.at);
                    }
                }
                Err(Trouble::Later(why, after)) => {
                    self.shared.trouble(&why);
                    self.lines = lines;
                    thread::sleep(patience.wait(after));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_says_at_once_is_asked_less_often_each_time() {
        for asked in [None, Some(Duration::ZERO)] {
            let mut patience = Patience::new();
            let mut least = SOON / 2;
            for _ in 0..12 {
                let wait = patience.wait(asked);
                let most = least * 2;
                assert!((least..=most).contains(&wait), "{wait:?}, {asked:?}");
                least = (least * 2).min(LATE / 2);
            }
        }
    }

    #[test]
    fn a_receiver_that_says_when_is_not_asked_before_and_not_forgotten() {
        let wait = |seconds| Patience::new().wait(Some(Duration::from_secs(seconds)));
        assert_eq!(wait(7), Duration::from_secs(7));
        assert_eq!(wait(300), Duration::from_mins(5));
        assert_eq!(wait(86_400), LATEST);
    }
}
