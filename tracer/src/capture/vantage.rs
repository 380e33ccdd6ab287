//! On which host a capture was taken, told from the packets themselves.

/// Packets of one side that must agree before anything is concluded from them.
const ENOUGH: u16 = 2;

/// What the packets of one connection say about where they were captured.
///
/// A host that leaves checksums to its network card captures its own outgoing packets with wrong
/// ones, and the other side's with right ones. Where checksums say nothing, a packet that has
/// passed no router yet was captured on the sender's own network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VantageVote {
    client: Side,
    server: Side,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Side {
    right: u16,
    wrong: u16,
    /// Routers passed, of the packet that passed the fewest.
    hops: Option<u8>,
}

/// What the vote came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Captured on the client's host.
    Client,
    /// Captured on the server's host.
    Server,
    /// Both sides' checksums are wrong: neither side's packets had left the machine, as on
    /// loopback, between containers, and between virtual machines of one host.
    SameMachine,
    /// Captured somewhere between the two: both sides' packets have passed routers.
    Transit,
}

impl VantageVote {
    /// Counts a packet. `right` is [`super::checksum::tcp_checksum_is_right`]'s answer, `ttl` the
    /// packet's time to live or hop limit.
    pub fn count(&mut self, from_client: bool, right: Option<bool>, ttl: u8) {
        let side = if from_client {
            &mut self.client
        } else {
            &mut self.server
        };
        match right {
            Some(true) => side.right = side.right.saturating_add(1),
            Some(false) => side.wrong = side.wrong.saturating_add(1),
            None => {}
        }
        let passed = hops(ttl);
        side.hops = Some(side.hops.map_or(passed, |fewest| fewest.min(passed)));
    }

    /// What the packets so far say; `None` where they do not agree or are too few.
    pub fn verdict(&self) -> Option<Verdict> {
        self.by_checksum().or_else(|| self.by_hops())
    }

    fn by_checksum(&self) -> Option<Verdict> {
        match (self.client.offloads(), self.server.offloads()) {
            (true, true) => Some(Verdict::SameMachine),
            (true, false) if self.server.wrong == 0 => Some(Verdict::Client),
            (false, true) if self.client.wrong == 0 => Some(Verdict::Server),
            _ => None,
        }
    }

    /// On one network both sides' packets have passed none, which says nothing.
    fn by_hops(&self) -> Option<Verdict> {
        match (self.client.hops?, self.server.hops?) {
            (0, 0) => None,
            (0, _) => Some(Verdict::Client),
            (_, 0) => Some(Verdict::Server),
            _ => Some(Verdict::Transit),
        }
    }
}

impl Side {
    /// Wrong checksums that damage on the way would not explain.
    fn offloads(self) -> bool {
        self.wrong >= ENOUGH && self.wrong > self.right
    }
}

/// Routers a packet has passed, from the values operating systems start with: 64, 128 and 255.
fn hops(ttl: u8) -> u8 {
    let started_with = [64, 128, 255].into_iter().find(|start| ttl <= *start);
    started_with.unwrap_or(u8::MAX) - ttl
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(packets: &[(bool, Option<bool>, u8)]) -> Option<Verdict> {
        let mut vote = VantageVote::default();
        for (from_client, right, ttl) in packets {
            vote.count(*from_client, *right, *ttl);
        }
        vote.verdict()
    }

    const CLIENT: bool = true;
    const SERVER: bool = false;
    const WRONG: Option<bool> = Some(false);
    const RIGHT: Option<bool> = Some(true);

    #[test]
    fn the_side_whose_outgoing_checksums_are_wrong_is_where_the_capture_was_taken() {
        let on_client = [
            (CLIENT, WRONG, 128),
            (SERVER, RIGHT, 128),
            (CLIENT, WRONG, 128),
        ];
        assert_eq!(vote(&on_client), Some(Verdict::Client));
        let on_server = [
            (SERVER, WRONG, 128),
            (CLIENT, RIGHT, 128),
            (SERVER, WRONG, 128),
        ];
        assert_eq!(vote(&on_server), Some(Verdict::Server));
    }

    #[test]
    fn a_side_that_is_right_as_often_as_wrong_does_not_count() {
        let mixed = [
            (CLIENT, WRONG, 64),
            (SERVER, RIGHT, 64),
            (CLIENT, RIGHT, 64),
        ]
        .repeat(4);
        assert_eq!(vote(&mixed), None);
    }

    #[test]
    fn one_damaged_packet_convinces_nobody() {
        let damaged = [
            (CLIENT, WRONG, 64),
            (CLIENT, RIGHT, 64),
            (SERVER, RIGHT, 64),
        ];
        assert_eq!(vote(&damaged), None);
        assert_eq!(vote(&[]), None);
        assert_eq!(vote(&[(CLIENT, None, 64), (SERVER, None, 64)]), None);
    }

    #[test]
    fn packets_that_never_left_the_machine_are_wrong_both_ways() {
        let veth = [(CLIENT, WRONG, 64), (SERVER, WRONG, 64)].repeat(2);
        assert_eq!(vote(&veth), Some(Verdict::SameMachine));
    }

    #[test]
    fn hop_counts_decide_where_checksums_do_not() {
        assert_eq!(
            vote(&[(CLIENT, RIGHT, 64), (SERVER, RIGHT, 125)]),
            Some(Verdict::Client)
        );
        assert_eq!(
            vote(&[(CLIENT, RIGHT, 61), (SERVER, RIGHT, 128)]),
            Some(Verdict::Server)
        );
        assert_eq!(
            vote(&[(CLIENT, RIGHT, 250), (SERVER, RIGHT, 63)]),
            Some(Verdict::Transit)
        );
        assert_eq!(vote(&[(CLIENT, RIGHT, 255), (SERVER, RIGHT, 128)]), None);
    }
}
