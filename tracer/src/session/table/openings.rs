//! SYNs that passed just now, by what stays the same where addresses are rewritten on the way: the
//! client's initial sequence number.
//!
//! A host that publishes a port, masquerades a client or serves a service's address rewrites addresses
//! between two of its interfaces, and the same SYN passes once more under others.

use std::collections::VecDeque;

use foldhash::HashMap;
use tracer_ebpf::{event::Event, flow::FlowKey, seq::Seq};

use crate::session::wire::{End, Identity};

/// How long a host may take to pass a SYN on, nanoseconds: microseconds, and longer where it is busy.
const PASSED_ON: u64 = 200_000_000;
/// How long a SYN is remembered: a socket that is established says which one was its own.
const REMEMBERED: u64 = 2_000_000_000;
/// SYNs remembered.
const MOST: usize = 16 * 1024;

/// A SYN.
#[derive(Clone, Copy, Debug)]
struct Opening {
    key: FlowKey,
    client: End,
    window: u16,
    ifindex: u32,
    at: u64,
}

impl Opening {
    fn of(event: &Event) -> Self {
        Self {
            key: event.key,
            client: Identity::of(&event.key, event.client_is_a != 0).client,
            window: event.window,
            ifindex: event.ifindex,
            at: event.time,
        }
    }

    /// Whether this is the same SYN as one before it, under other addresses. A client's port changes
    /// only with its address, and on the way to another interface: others that begin with the same
    /// number are a flood.
    fn is_passed_on(&self, before: &Self) -> bool {
        let (client, other) = (&self.client, &before.client);
        let elsewhere = client.address != other.address && self.ifindex != before.ifindex;
        self.key != before.key
            && self.window == before.window
            && (client.port == other.port || elsewhere)
            && self.at.saturating_sub(before.at) < PASSED_ON
    }
}

/// SYNs that passed just now.
#[derive(Debug, Default)]
pub(super) struct Openings {
    by_isn: HashMap<u32, Opening>,
    /// Their sequence numbers, the oldest first.
    order: VecDeque<(u64, u32)>,
}

impl Openings {
    /// A SYN opens a connection; the one whose SYN it is too, if that has passed under other addresses.
    pub(super) fn opens(&mut self, event: &Event) -> Option<FlowKey> {
        let opening = Opening::of(event);
        if self.order.len() >= MOST {
            self.forget_oldest();
        }
        self.order.push_back((event.time, event.seq.0));
        let before = self.by_isn.insert(event.seq.0, opening)?;
        opening.is_passed_on(&before).then_some(before.key)
    }

    /// The connection whose client began with this sequence number.
    pub(super) fn of(&self, client_isn: Seq) -> Option<FlowKey> {
        Some(self.by_isn.get(&client_isn.0)?.key)
    }

    /// Forgets those that passed long ago.
    pub(super) fn forget(&mut self, now: u64) {
        while self
            .order
            .front()
            .is_some_and(|(at, _)| at.saturating_add(REMEMBERED) <= now)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((at, isn)) = self.order.pop_front() else {
            return;
        };
        // A later one with the same number has a place of its own in the order.
        if self
            .by_isn
            .get(&isn)
            .is_some_and(|opening| opening.at == at)
        {
            self.by_isn.remove(&isn);
        }
    }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::event::Kind;

    use super::*;

    fn syn(client: [u32; 2], server: u32, ifindex: u32, at: u64) -> Event {
        let [host, port] = client;
        Event {
            kind: Kind::Syn as u8,
            time: at,
            seq: Seq(7),
            window: 64_240,
            ifindex,
            key: FlowKey {
                a: [0, 0, 0, server],
                b: [0, 0, 0, host],
                a_port: 1433,
                b_port: port as u16,
            },
            ..Event::default()
        }
    }

    #[test]
    fn a_syn_that_passes_again_soon_under_other_addresses_is_the_same() {
        let first = syn([1, 50_000], 1, 1, 0);
        for (what, again, is_same) in [
            ("published", syn([1, 50_000], 2, 2, 1000), true),
            ("masqueraded", syn([2, 50_000], 1, 2, 1000), true),
            ("by another port", syn([2, 1024], 1, 2, 1000), true),
            ("another client", syn([2, 1024], 1, 1, 1000), false),
            (
                "another port of the client",
                syn([1, 50_001], 1, 2, 1000),
                false,
            ),
            ("later", syn([1, 50_000], 2, 2, PASSED_ON), false),
        ] {
            let mut openings = Openings::default();
            assert_eq!(openings.opens(&first), None);
            let found = openings.opens(&again);
            assert_eq!(found, is_same.then_some(first.key), "{what}");
            assert_eq!(openings.of(Seq(7)), Some(again.key));
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_ends() {
        let mut openings = Openings::default();
        for isn in 0..2 * MOST as u32 {
            let mut event = syn([1, 50_000], 1, 1, u64::from(isn));
            event.seq = Seq(isn);
            openings.opens(&event);
        }
        assert_eq!((openings.order.len(), openings.by_isn.len()), (MOST, MOST));
        openings.forget(REMEMBERED + 3 * MOST as u64);
        assert_eq!((openings.order.len(), openings.by_isn.len()), (0, 0));
    }
}
