//! What of a packet is told: the parts that a copy of it may show.

use tracer_ebpf::{
    event::{Direction, Event, Kind},
    flow::{FlowKey, Half},
    framing::{self, Boundary, Framing, HEADER_PREFIX, SMP_HEADER, TDS_HEADER, TLS_HEADER},
    packet::Segment,
    seq::{Seq, Span},
};

/// A packet of a watched connection, and the parts of its payload that are told.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The connection's addresses and ports.
    pub key: FlowKey,
    /// When it began, nanoseconds as the packets': with the key it names the connection.
    pub born: u64,
    /// Which way the packet goes.
    pub direction: Direction,
    /// Where its bytes lie.
    pub segment: Segment,
    /// Parts of the stream; some may lie before the packet, and some may be told twice.
    pub told: Vec<Span>,
    /// The events that tell them.
    #[cfg(test)]
    pub(crate) events: Vec<(Event, Vec<u8>)>,
}

impl Shown {
    pub(super) fn new(key: FlowKey, born: u64, direction: Direction, segment: &Segment) -> Self {
        Self {
            key,
            born,
            direction,
            segment: *segment,
            told: Vec::new(),
            #[cfg(test)]
            events: Vec::new(),
        }
    }

    /// Adds what an event tells.
    pub(super) fn event(&mut self, event: &Event, run: &[u8]) {
        #[cfg(test)]
        self.events.push((*event, run.to_vec()));
        match Kind::of(event.kind) {
            Some(Kind::Segment | Kind::More) => {
                self.told.extend(event.told(run).map(|(span, _)| span));
            }
            Some(Kind::Header) => self.told.push(header(event)),
            _ => {}
        }
    }

    /// Adds the headers that were passed and not told, since they are between others of their message. `before` is
    /// what was known of the direction before the packet, `after` what is known of it now.
    pub(super) fn headers(&mut self, before: &Half, after: &Half, payload: &[u8]) {
        let (start, end) = (self.segment.start(), self.segment.end());
        if after.framed == 0 {
            return;
        }
        let mut position = before.next_header;
        if before.framed == 0 || position.add(before.carried.into()).before(start) {
            position = start;
        }
        while end.after(position) && !position.after(after.next_header) {
            let there = end.since(position).cast_unsigned().min(HEADER_PREFIX);
            // Its first bytes may have come with the packet before.
            let mut prefix = before.carry;
            for (index, byte) in prefix.iter_mut().enumerate().take(there as usize) {
                let at = position.add(index as u32).since(start);
                let Ok(at) = usize::try_from(at) else {
                    continue;
                };
                let Some(known) = payload.get(at) else {
                    return;
                };
                *byte = *known;
            }
            let Boundary::Header(header) = framing::read(&prefix, there) else {
                // The beginning of one.
                if position == after.next_header {
                    self.told.push(span(position, there));
                }
                return;
            };
            if position == after.next_header && after.carried == 0 {
                return;
            }
            self.told
                .push(span(position, header.len.min(header_len(header.framing))));
            position = position.add(header.len);
        }
    }
}

const fn span(from: Seq, len: u32) -> Span {
    Span {
        from,
        to: from.add(len),
    }
}

const fn header_len(framing: Framing) -> u32 {
    match framing {
        Framing::Tds => TDS_HEADER,
        Framing::Tls => TLS_HEADER,
        // With the header of what it carries.
        Framing::Smp => SMP_HEADER + TDS_HEADER,
    }
}

/// The header that an event is of.
fn header(event: &Event) -> Span {
    let len = Framing::of(event.framing).map_or(0, header_len);
    span(event.run_seq, len.min(event.packet_len))
}
