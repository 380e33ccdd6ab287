//! What the kernel has told of late, in bounded memory: the oldest gives way.

use std::collections::VecDeque;

use tracer_ebpf::{event::Event, flow::FlowKey};

/// What an entry takes besides its bytes.
const ENTRY: usize = size_of::<Noted>();

/// One thing that the kernel has told.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) event: Event,
    pub(crate) run: Box<[u8]>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ring {
    noted: VecDeque<Noted>,
    most: usize,
    bytes: usize,
    /// Of what gave way the youngest was of this time, nanoseconds of the events' clock.
    gone_ns: u64,
}

impl Ring {
    /// Keeps at most so many bytes.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            noted: VecDeque::new(),
            most,
            bytes: 0,
            gone_ns: 0,
        }
    }

    pub(crate) fn note(&mut self, event: &Event, run: &[u8]) {
        self.bytes += ENTRY + run.len();
        self.noted.push_back(Noted {
            event: *event,
            run: run.into(),
        });
        while self.bytes > self.most
            && let Some(first) = self.noted.pop_front()
        {
            self.bytes -= ENTRY + first.run.len();
            self.gone_ns = self.gone_ns.max(first.event.time);
        }
    }

    /// All that is kept, the oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Noted> {
        self.noted.iter()
    }

    /// Whether something of a connection that began then may have given way.
    pub(crate) fn is_cut(&self, born: u64) -> bool {
        born <= self.gone_ns
    }

    /// Entries and bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.noted.len(), self.bytes)
    }
}

/// A connection among those of the ring: its addresses and when it began, on the events' clock.
pub(crate) type Name = (FlowKey, u64);

impl Noted {
    pub(crate) fn name(&self) -> Name {
        (self.event.key, self.event.born)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way_and_that_is_known() {
        let mut ring = Ring::new(100_000);
        for time in 1..=10_000 {
            let event = Event {
                time,
                born: time,
                ..Event::default()
            };
            ring.note(&event, &[7; 100]);
        }
        let (entries, bytes) = ring.size();
        assert!(bytes <= 100_000 && entries > 100, "{entries} {bytes}");
        assert_eq!(
            ring.all().last().map(|noted| noted.event.time),
            Some(10_000)
        );
        assert!(ring.is_cut(1) && !ring.is_cut(10_000));
    }
}
