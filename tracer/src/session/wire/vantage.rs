//! Which side the packets were seen from.

use tracer_ebpf::event::{Direction, role};

use crate::record::Vantage;

/// Packets that must agree before a wrong checksum says anything.
const VOTES_NEEDED: u32 = 2;

/// What is known of the point of observation.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::session) struct Evidence {
    /// Roles of local sockets, see [`role`].
    roles: u32,
    /// Packets of each direction whose checksum was right, and wrong. One that is wrong was left
    /// to the sender's network card: the packet was seen before it left its host.
    checksums: [(u32, u32); 2],
    /// Hops each side's packets had behind them.
    hops: [Option<u8>; 2],
    /// Round trip to the server's host and to the client's, as far as the handshake tells them.
    legs: [Option<u64>; 2],
}

impl Evidence {
    /// A socket of the connection is on this host.
    pub(in crate::session) fn socket(&mut self, role: u32) {
        self.roles |= role;
    }

    /// A packet's checksum was looked at.
    pub(in crate::session) fn checksum(&mut self, direction: Direction, right: bool) {
        let (rights, wrongs) = &mut self.checksums[direction as usize];
        *(if right { rights } else { wrongs }) += 1;
    }

    /// A packet's time to live.
    pub(in crate::session) fn ttl(&mut self, direction: Direction, ttl: u8) {
        self.hops[direction as usize].get_or_insert(hops(ttl));
    }

    /// The round trips to the server's host and to the client's that the handshake took.
    pub(in crate::session) fn handshake(&mut self, legs: [Option<u64>; 2]) {
        self.legs = legs;
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
        // Damage on the way would not be wrong more often than right.
        let offloads = |(rights, wrongs)| wrongs >= VOTES_NEEDED && wrongs > rights;
        let [client, server] = self.checksums.map(offloads);
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
        let [server, client] = self.legs;
        match self.side() {
            Vantage::Client | Vantage::Both => server,
            Vantage::Server => client,
            Vantage::Transit | Vantage::Unknown => Some(server? + client?),
        }
    }

    /// Round trips between here and the client, and the server; 0 where a side is here.
    pub(in crate::session) fn legs(&self) -> (u64, u64) {
        let [server, client] = self.legs.map(Option::unwrap_or_default);
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
        evidence.ttl(Direction::ToServer, 60);
        evidence.ttl(Direction::ToClient, 64);
        assert_eq!(evidence.side(), Vantage::Server);
        evidence.checksum(Direction::ToServer, false);
        assert_eq!(evidence.side(), Vantage::Server, "one packet may be broken");
        evidence.checksum(Direction::ToServer, false);
        assert_eq!(evidence.side(), Vantage::Client);
        evidence.socket(role::SERVER);
        assert_eq!(evidence.side(), Vantage::Server);
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
