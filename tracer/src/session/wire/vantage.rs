//! Which side the packets were seen from.

use tracer_ebpf::event::{Direction, role};

use super::when::When;
use crate::{record::Vantage, session::input::Checksum};

/// Packets that must agree before an unfinished checksum says anything.
const VOTES_NEEDED: u32 = 2;

/// What is known of the point of observation.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct Evidence {
    /// Roles of local sockets, see [`role`].
    roles: u32,
    /// Packets of a capture, of each direction, whose checksum was right, and unfinished: left to the sender's network
    /// card, so that the packet was seen before it left its host.
    checksums: Option<Box<[(u32, u32); 2]>>,
    /// Hops each side's packets had behind them.
    hops: [Option<u8>; 2],
    /// Whose packets are seen, beside sockets, where they come in.
    inward: [bool; 2],
    /// Round trip to the server's host and to the client's, as far as the handshake tells them.
    legs: [When; 2],
}

impl Evidence {
    /// A socket of the connection is on this host.
    pub(in crate::session) fn socket(&mut self, role: u32) {
        self.roles |= role & (role::CLIENT | role::SERVER);
    }

    /// Roles of local sockets.
    pub(in crate::session) fn roles(&self) -> u32 {
        self.roles
    }

    /// A packet's checksum was looked at.
    pub(in crate::session) fn checksum(&mut self, direction: Direction, checksum: Checksum) {
        let checksums = self.checksums.get_or_insert_default();
        let (rights, unfinished) = &mut checksums[direction as usize];
        match checksum {
            Checksum::Right => *rights += 1,
            Checksum::Unfinished => *unfinished += 1,
            Checksum::Wrong => {}
        }
    }

    /// A packet's time to live.
    pub(in crate::session) fn ttl(&mut self, direction: Direction, ttl: u8) {
        self.hops[direction as usize].get_or_insert(hops(ttl));
    }

    /// A packet comes in at an interface, and no socket tells its connection.
    pub(in crate::session) fn comes_in(&mut self, direction: Direction) {
        self.inward[direction as usize] = true;
    }

    /// Packets have come in under other addresses.
    pub(in crate::session) fn came_in(&mut self, before: &Self) {
        for (inward, before) in self.inward.iter_mut().zip(before.inward) {
            *inward |= before;
        }
    }

    /// The round trips to the server's host and to the client's that the handshake took.
    pub(in crate::session) fn handshake(&mut self, legs: [Option<u64>; 2]) {
        self.legs = legs.map(When::from);
    }

    /// The side: sockets know, checksums nearly, hop counts tell where one side is remote.
    pub(in crate::session) fn side(&self) -> Vantage {
        match self.roles {
            r if r & (role::CLIENT | role::SERVER) == role::CLIENT | role::SERVER => {
                return Vantage::Both;
            }
            r if r & role::CLIENT != 0 => return Vantage::Client,
            r if r & role::SERVER != 0 => return Vantage::Server,
            _ => {}
        }
        if self.inward == [true; 2] {
            return Vantage::Transit;
        }
        // What has hops behind it has left its host, whatever its checksum.
        let offloads = |direction: Direction| {
            let checksums = self.checksums.as_deref().copied().unwrap_or_default();
            let (rights, unfinished) = checksums[direction as usize];
            let near = self.hops[direction as usize].is_none_or(|hops| hops == 0);
            near && unfinished >= VOTES_NEEDED && unfinished > rights
        };
        let (client, server) = (offloads(Direction::ToServer), offloads(Direction::ToClient));
        match (client, server) {
            (true, true) => return Vantage::Both,
            (true, false) => return Vantage::Client,
            (false, true) => return Vantage::Server,
            (false, false) => {}
        }
        match self.hops {
            [Some(0), Some(1..)] => Vantage::Client,
            [Some(1..), Some(0)] => Vantage::Server,
            [Some(1..), Some(1..)] => Vantage::Transit,
            _ => Vantage::Unknown,
        }
    }

    /// One round trip, as seen from that side.
    pub(in crate::session) fn round_trip(&self) -> Option<u64> {
        let [server, client] = self.legs.map(When::moment);
        match self.side() {
            Vantage::Client | Vantage::Both => server,
            Vantage::Server => client,
            Vantage::Transit | Vantage::Unknown => Some(server? + client?),
        }
    }

    /// Round trips between here and the client, and the server; 0 where a side is here.
    pub(in crate::session) fn legs(&self) -> (u64, u64) {
        let [server, client] = self.legs.map(|leg| leg.moment().unwrap_or_default());
        match self.side() {
            Vantage::Both => (0, 0),
            Vantage::Client => (0, server),
            Vantage::Server => (client, 0),
            Vantage::Transit | Vantage::Unknown => (client, server),
        }
    }
}

/// Hops behind a packet: senders start at 64, 128 or 255.
fn hops(ttl: u8) -> u8 {
    match ttl {
        0..=64 => 64 - ttl,
        65..=128 => 128 - ttl,
        _ => 255 - ttl,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_outweighs_checksums_and_checksums_outweigh_hops() {
        let mut evidence = Evidence::default();
        evidence.ttl(Direction::ToServer, 64);
        evidence.ttl(Direction::ToClient, 64);
        evidence.checksum(Direction::ToServer, Checksum::Unfinished);
        assert_eq!(evidence.side(), Vantage::Unknown, "one may be by chance");
        evidence.checksum(Direction::ToServer, Checksum::Unfinished);
        assert_eq!(evidence.side(), Vantage::Client);
        evidence.socket(role::SERVER);
        assert_eq!(evidence.side(), Vantage::Server);
    }

    #[test]
    fn what_was_rewritten_or_has_come_from_afar_says_nothing_by_its_checksum() {
        for (ttls, checksum, side) in [
            ([124, 61], Checksum::Wrong, Vantage::Transit),
            ([124, 61], Checksum::Unfinished, Vantage::Transit),
            ([64, 64], Checksum::Wrong, Vantage::Unknown),
            ([128, 64], Checksum::Unfinished, Vantage::Both),
            ([128, 61], Checksum::Unfinished, Vantage::Client),
        ] {
            let mut evidence = Evidence::default();
            for (direction, ttl) in [Direction::ToServer, Direction::ToClient]
                .into_iter()
                .zip(ttls)
            {
                evidence.ttl(direction, ttl);
                (0..9).for_each(|_| evidence.checksum(direction, checksum));
            }
            assert_eq!(evidence.side(), side, "{ttls:?}, {checksum:?}");
        }
    }

    #[test]
    fn what_comes_in_from_both_sides_and_has_no_socket_passes_through() {
        let mut evidence = Evidence::default();
        evidence.comes_in(Direction::ToServer);
        assert_eq!(evidence.side(), Vantage::Unknown, "it may end here");
        evidence.comes_in(Direction::ToClient);
        assert_eq!(evidence.side(), Vantage::Transit);
        evidence.socket(role::CLIENT);
        assert_eq!(evidence.side(), Vantage::Client);
    }

    #[test]
    fn two_neighbours_on_one_link_say_nothing() {
        let mut evidence = Evidence::default();
        evidence.ttl(Direction::ToServer, 64);
        evidence.ttl(Direction::ToClient, 64);
        assert_eq!(evidence.side(), Vantage::Unknown);
    }

    #[test]
    fn the_network_has_no_share_between_two_sockets_of_one_host() {
        let mut evidence = Evidence::default();
        evidence.handshake([Some(900), Some(100)]);
        assert_eq!(evidence.legs(), (100, 900));
        evidence.socket(role::CLIENT);
        evidence.socket(role::SERVER);
        assert_eq!(evidence.legs(), (0, 0));
    }
}
