//! Attempts of many clients at the same time: of each is said what is said of it alone.

use std::collections::{BTreeMap, BTreeSet};

use harness::{
    agent::of,
    pcap::{self, Packet},
};

use super::captured::captures;
use crate::packets::{MILLISECOND, SECOND, last_ns, other, replay};

/// Where an IPv4 packet has its two addresses, and an IPv6 packet.
const ADDRESSES: [(u16, [usize; 2], usize); 2] = [(0x0800, [12, 16], 4), (0x86DD, [8, 24], 16)];
/// When the first of them begins, nanoseconds since 1970.
const BEGINS: u64 = 1_800_000_000 * SECOND;

/// A capture's packets as another client's, whose first one passes then.
fn of_client(packets: &[Packet], client: u16, at: u64) -> Vec<Packet> {
    let first = packets[0].time_ns;
    let mut own = packets.to_vec();
    for packet in &mut own {
        packet.time_ns = packet.time_ns - first + at;
        for (ethertype, places, length) in ADDRESSES {
            if packet.ethertype != ethertype {
                continue;
            }
            let of_family = packets.iter().find(|other| other.ethertype == ethertype);
            let address = &of_family.unwrap().bytes[places[0]..places[0] + length];
            for place in places {
                let own = &mut packet.bytes[place..place + length];
                if own == address {
                    own[length - 3..length - 1].copy_from_slice(&client.to_be_bytes());
                }
            }
        }
    }
    own
}

/// The first bytes of a packet's transport header: ports and number.
fn transport(packet: &Packet) -> Vec<u8> {
    let header = if packet.ethertype == 0x0800 { 20 } else { 40 };
    packet.bytes.iter().skip(header).take(8).copied().collect()
}

/// What is said of attempts, by client: all but when and by what name, and why, for which others are looked at, too.
fn told(mut packets: Vec<Packet>) -> BTreeMap<String, Vec<String>> {
    packets.sort_by_key(|packet| packet.time_ns);
    packets.push(other(last_ns(&packets) + 300 * SECOND));
    let attempts = of(&replay(&packets), "attempt");
    let mut told = BTreeMap::<_, Vec<_>>::new();
    for mut line in attempts {
        let attempt = line["attempt"].as_object_mut().unwrap();
        for other in ["id", "start", "diagnosis", "incident"] {
            attempt.remove(other);
        }
        let client = line["client"]["address"].to_string();
        told.entry(client)
            .or_default()
            .push(line["attempt"].to_string());
    }
    for attempts in told.values_mut() {
        attempts.sort();
    }
    told
}

#[test]
fn of_clients_at_the_same_time_the_same_is_said_as_of_each_alone() {
    // What has the same ports and numbers at the same time is one connection under two addresses.
    let mut first = BTreeSet::new();
    let all = captures();
    let all: Vec<_> = all
        .iter()
        .map(|capture| pcap::packets(capture).unwrap())
        .filter(|packets| packets.len() > 1 && first.insert(transport(&packets[0])))
        // Which of many addresses of the other family a client has is not known.
        .filter(|packets| packets.iter().all(|packet| packet.ethertype == packets[0].ethertype))
        .collect();
    assert!(all.len() > 50, "{} captures", all.len());
    let clients = || all.iter().zip(1..);
    let alone: BTreeMap<_, _> = clients()
        .flat_map(|(packets, number)| told(of_client(packets, number, BEGINS)))
        .collect();
    // So much later than the one before begins each.
    for apart in [0, MILLISECOND / 10, 7 * MILLISECOND, 300 * MILLISECOND] {
        let mixed = clients().flat_map(|(packets, number)| {
            of_client(packets, number, BEGINS + u64::from(number) * apart)
        });
        let together = told(mixed.collect());
        for (client, attempts) in &alone {
            let own = together.get(client);
            assert!(
                own == Some(attempts),
                "{apart} {client}: {attempts:#?} {own:#?}"
            );
        }
        assert_eq!(together.len(), alone.len(), "{apart}");
    }
}
