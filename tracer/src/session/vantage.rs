//! Which side the packets were seen from.

use tracer_ebpf::event::{Direction, role};

use super::Checksum;
use crate::record::Vantage;

/// Packets that must agree before an unfinished checksum says anything.
const VOTES_NEEDED: u32 = 2;

/// What is known of the point of observation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Evidence {
    /// Roles of local sockets, see [`role`].
    roles: u32,
    /// Packets of each direction whose checksum was right, and unfinished: left to the sender's network
    /// card, so that the packet was seen before it left its host.
    checksums: [(u32, u32); 2],
    /// Hops each side's packets had behind them.
    hops: [Option<u8>; 2],
    /// Round trip to the server's host and to the client's, from the handshake.
    legs: Option<(u64, u64)>,
}

impl Evidence {
    /// A socket of the connection is on this host.
    pub(super) fn socket(&mut self, role: u32) {
        self.roles |= role;
    }

    /// A packet's checksum was looked at.
    pub(super) fn checksum(&mut self, direction: Direction, checksum: Checksum) {
        let (rights, unfinished) = &mut self.checksums[direction as usize];
        match checksum {
            Checksum::Right => *rights += 1,
            Checksum::Unfinished => *unfinished += 1,
            Checksum::Wrong => {}
        }
    }

    /// A packet's time to live.
    pub(super) fn ttl(&mut self, direction: Direction, ttl: u8) {
        self.hops[direction as usize].get_or_insert(hops(ttl));
    }

    /// The handshake: SYN to SYN-ACK, and SYN-ACK to ACK.
    pub(super) fn handshake(&mut self, server_leg: u64, client_leg: u64) {
        self.legs = Some((server_leg, client_leg));
    }

    /// The side: sockets know, checksums nearly, hop counts tell where one side is remote.
    pub(super) fn side(&self) -> Vantage {
        match self.roles {
            r if r & (role::CLIENT | role::SERVER) == role::CLIENT | role::SERVER => {
                return Vantage::Both;
            }
            r if r & role::CLIENT != 0 => return Vantage::Client,
            r if r & role::SERVER != 0 => return Vantage::Server,
            _ => {}
        }
        // What has hops behind it has left its host, whatever its checksum.
        let offloads = |direction: Direction| {
            let (rights, unfinished) = self.checksums[direction as usize];
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
    pub(super) fn round_trip(&self) -> Option<u64> {
        let (server_leg, client_leg) = self.legs?;
        Some(match self.side() {
            Vantage::Client | Vantage::Both => server_leg,
            Vantage::Server => client_leg,
            Vantage::Transit | Vantage::Unknown => server_leg + client_leg,
        })
    }

    /// Round trips between here and either side.
    pub(super) fn legs(&self) -> super::timeline::Legs {
        let Some((server, client)) = self.legs else {
            return super::timeline::Legs::default();
        };
        match self.side() {
            Vantage::Both => super::timeline::Legs::default(),
            Vantage::Client => super::timeline::Legs { client: 0, server },
            Vantage::Server => super::timeline::Legs { client, server: 0 },
            Vantage::Transit | Vantage::Unknown => super::timeline::Legs { client, server },
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
    fn two_neighbours_on_one_link_say_nothing() {
        let mut evidence = Evidence::default();
        evidence.ttl(Direction::ToServer, 64);
        evidence.ttl(Direction::ToClient, 64);
        assert_eq!(evidence.side(), Vantage::Unknown);
    }

    #[test]
    fn the_network_has_no_share_between_two_sockets_of_one_host() {
        let mut evidence = Evidence::default();
        evidence.handshake(900, 100);
        assert_eq!(evidence.legs().server, 900);
        evidence.socket(role::CLIENT);
        evidence.socket(role::SERVER);
        assert_eq!(evidence.legs().server, 0);
    }
}
