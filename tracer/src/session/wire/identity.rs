//! Who the ends are, and names of a connection that other observers arrive at too.

use std::net::{IpAddr, Ipv6Addr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha1::{Digest, Sha1};
use tracer_ebpf::{flow::FlowKey, seq::Seq};

use crate::record::{ConnectionId, Text};

const PROTOCOL_TCP: u8 = 6;

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct End {
    pub(in crate::session) address: IpAddr,
    pub(in crate::session) port: u16,
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct Identity {
    pub(in crate::session) client: End,
    pub(in crate::session) server: End,
}

impl Identity {
    /// Those of a connection.
    pub(in crate::session) fn of(key: &FlowKey, client_is_a: bool) -> Self {
        let (client, server) = ends(key, client_is_a);
        Self { client, server }
    }

    /// The connection's name, the same from either host: of addresses, ports and both initial
    /// sequence numbers. A server that answered no SYN has none. Of a connection that was joined
    /// late neither is known, so that both hosts agree, and the next start of the agent too.
    pub(in crate::session) fn connection_id(&self, isns: [Option<Seq>; 2]) -> ConnectionId {
        let [client, server] = isns.map(|isn| isn.unwrap_or(Seq(0)));
        connection_id(self.client, self.server, (client, server))
    }

    /// Community ID v1 with seed 0: joins with Zeek, Suricata and Packetbeat.
    pub(in crate::session) fn community_id(&self) -> Text {
        community_id(self.client, self.server)
    }
}

/// The client's end and the server's.
pub(in crate::session) fn ends(key: &FlowKey, client_is_a: bool) -> (End, End) {
    let a = End {
        address: address(key.a),
        port: key.a_port,
    };
    let b = End {
        address: address(key.b),
        port: key.b_port,
    };
    if client_is_a { (a, b) } else { (b, a) }
}

/// An address as the kernel programs have it; IPv4-mapped ones as IPv4.
pub(crate) fn address(words: [u32; 4]) -> IpAddr {
    let mut bytes = [0; 16];
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    Ipv6Addr::from(bytes).to_canonical()
}

/// The same from either host: of addresses, ports and both initial sequence numbers.
fn connection_id(client: End, server: End, isns: (Seq, Seq)) -> ConnectionId {
    let mut hash = Sha1::new();
    for (end, isn) in [(client, isns.0), (server, isns.1)] {
        hash_address(&mut hash, end.address);
        hash.update(end.port.to_be_bytes());
        hash.update(isn.0.to_be_bytes());
    }
    let digest = <[u8; 20]>::from(hash.finalize());
    let start = digest.first_chunk().copied().unwrap_or_default();
    ConnectionId(u64::from_be_bytes(start))
}

fn community_id(client: End, server: End) -> Text {
    let ordered = (client.address, client.port) < (server.address, server.port);
    let (low, high) = if ordered {
        (client, server)
    } else {
        (server, client)
    };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    hash_address(&mut hash, low.address);
    hash_address(&mut hash, high.address);
    hash.update([PROTOCOL_TCP, 0]);
    hash.update(low.port.to_be_bytes());
    hash.update(high.port.to_be_bytes());
    let mut text = String::from("1:");
    BASE64_STANDARD.encode_string(hash.finalize(), &mut text);
    Text::from(text)
}

fn hash_address(hash: &mut Sha1, address: IpAddr) {
    match address {
        IpAddr::V4(address) => hash.update(address.octets()),
        IpAddr::V6(address) => hash.update(address.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(address: &str, port: u16) -> End {
        End {
            address: address.parse().unwrap(),
            port,
        }
    }

    #[test]
    fn the_community_id_is_that_of_the_specifications_examples() {
        // https://github.com/corelight/community-id-spec, baseline data of TCP.
        let client = end("128.232.110.120", 34855);
        let server = end("66.35.250.204", 80);
        assert_eq!(
            &*community_id(client, server),
            "1:LQU9qZlK+B5F3KDmev6m5PMibrg="
        );
        assert_eq!(community_id(server, client), community_id(client, server));
    }

    #[test]
    fn a_port_used_again_is_another_connection() {
        let (client, server) = (end("10.0.0.1", 50_000), end("10.0.0.2", 1433));
        let first = connection_id(client, server, (Seq(1), Seq(2)));
        assert_eq!(first, connection_id(client, server, (Seq(1), Seq(2))));
        assert_ne!(first, connection_id(client, server, (Seq(3), Seq(2))));
    }
}
