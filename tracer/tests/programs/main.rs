//! The object as it ships, run by the kernel on packets that are made up: it tells what the
//! library tells of the same packets, and no secret leaves it. Needs root; says so where it skips.

mod halves;
mod packets;

use tracer::probe::Record;
use tracer_ebpf::{
    event::{Event, Kind},
    tally::Tally,
};

use crate::{
    halves::{both, both_in, kinds, run, trial},
    packets::{
        ACK, Below, CLIENT, FIN, PASSWORD, RST, SERVER, SYN, handshake, login7, packet, tds,
    },
};

#[test]
fn a_login_is_told_the_same_below_every_network_header() {
    for below in [
        Below::V4,
        Below::V4Options,
        Below::Vlan,
        Below::QinQ,
        Below::V6,
        Below::V6Extensions,
    ] {
        let prelogin = tds(0x12, 1, &[7; 40]);
        let mut packets = handshake(below);
        packets.push(packet(below, true, ACK, 1001, &prelogin));
        packets.push(packet(below, false, ACK, 5001, &tds(4, 1, &[9; 30])));
        packets.push(packet(below, true, ACK | FIN, 1049, &[]));
        packets.push(packet(below, false, RST, 5039, &[]));
        let Some(told) = both(&packets) else { return };
        let (event, run) = &told[3];
        let parts: Vec<_> = event.told(run).map(|(_, bytes)| bytes).collect();
        assert_eq!(parts, [prelogin]);
        assert_eq!(
            kinds(&told),
            [
                Kind::Syn,
                Kind::SynAck,
                Kind::Ack,
                Kind::Segment,
                Kind::Segment,
                Kind::Fin,
                Kind::Rst
            ]
        );
    }
}

#[test]
fn how_a_connection_opens_and_ends_is_told_by_the_program_that_counts_its_packets() {
    let Some(mut trial) = trial() else { return };
    trial.take_parts_away();
    let opens = handshake(Below::V4);
    let acknowledging = |bytes: Vec<u8>, ack: u32| {
        let mut bytes = bytes;
        bytes[42..46].copy_from_slice(&ack.to_be_bytes());
        bytes
    };
    let closes = [
        packet(Below::V4, true, ACK | FIN, 1001, &[]),
        acknowledging(packet(Below::V4, false, ACK | FIN, 5001, &[]), 1002),
        acknowledging(packet(Below::V4, true, ACK, 1002, &[]), 5002),
    ];
    let told = both_in(&mut trial, &[opens.clone(), closes.to_vec()].concat());
    let shaken = [Kind::Syn, Kind::SynAck, Kind::Ack];
    let ended = [Kind::Fin, Kind::Fin, Kind::Ack];
    assert_eq!(kinds(&told), [shaken, ended].concat());
    let reset = packet(Below::V4, false, RST, 5001, &[]);
    let told = both_in(&mut trial, &[opens, vec![reset]].concat());
    assert_eq!(kinds(&told)[3..], [Kind::Rst]);
}

#[test]
fn a_password_never_leaves_the_kernel_wherever_the_segment_is_cut() {
    let Some(mut trial) = trial() else { return };
    let login = login7();
    for cut in 1..login.len() {
        let mut packets = handshake(Below::V4);
        packets.push(packet(Below::V4, true, ACK, 1001, &login[..cut]));
        packets.push(packet(
            Below::V4,
            true,
            ACK,
            1001 + cut as u32,
            &login[cut..],
        ));
        let told = both_in(&mut trial, &packets);
        let parts = told.iter().flat_map(|(event, run)| event.told(run));
        let runs: Vec<u8> = parts.flat_map(|(_, bytes)| bytes.to_vec()).collect();
        let at = login.len() - b"t\0a\0i\0l\0".len() - PASSWORD.len();
        let password = 1001 + at as u32..1001 + (at + PASSWORD.len()) as u32;
        let told_of = |(event, run): &(Event, Vec<u8>)| {
            let mut parts = event.told(run).filter(|(_, bytes)| !bytes.is_empty());
            event.direction == 0
                && parts.any(|(span, _)| span.from.0 < password.end && span.to.0 > password.start)
        };
        let secret =
            told.iter().any(told_of) || runs.windows(4).any(|bytes| bytes == &PASSWORD[..4]);
        assert!(!secret, "cut at {cut}");
    }
}

#[test]
fn an_unwatched_packet_tells_nothing() {
    let Some(mut trial) = trial() else { return };
    let mut bytes = packet(Below::V4, true, SYN, 1, &[]);
    bytes[36..38].copy_from_slice(&443_u16.to_be_bytes());
    assert!(run(&mut trial, &[bytes]).is_empty());
}

#[test]
fn a_client_that_has_a_watched_port_s_number_is_on_no_watched_server() {
    let Some(mut trial) = trial() else { return };
    let http = b"GET / HTTP/1.1\r\n\r\n";
    let mut packets = handshake(Below::V4);
    packets.push(packet(Below::V4, true, ACK, 1001, http));
    packets.push(packet(Below::V4, false, ACK, 5001, http));
    // The client's port becomes the watched one, and the server's another.
    for bytes in &mut packets {
        for at in [34, 36] {
            let port = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            let other = if port == CLIENT { SERVER } else { 8080 };
            bytes[at..at + 2].copy_from_slice(&other.to_be_bytes());
        }
    }
    assert!(both_in(&mut trial, &packets).is_empty());
    // Where only data is seen, a system's port is a server's.
    for bytes in &mut packets {
        for at in [34, 36] {
            if bytes[at..at + 2] == 8080_u16.to_be_bytes() {
                bytes[at..at + 2].copy_from_slice(&80_u16.to_be_bytes());
            }
        }
    }
    assert!(both_in(&mut trial, &packets[3..]).is_empty());
}

#[test]
fn headers_in_one_packet_across_two_and_after_a_gap_are_told_the_same() {
    let batch = tds(1, 1, b"s\0e\0l\0e\0c\0t\0");
    let several = [batch.clone(), batch.clone(), batch.clone()].concat();
    let mut packets = handshake(Below::V4);
    packets.push(packet(Below::V4, true, ACK, 1001, &several));
    let mut seq = 1001 + several.len() as u32;
    packets.push(packet(Below::V4, true, ACK, seq, &batch[..3]));
    packets.push(packet(Below::V4, true, ACK, seq + 3, &batch[3..]));
    packets.push(packet(Below::V4, true, ACK, seq, &batch));
    seq += batch.len() as u32 + 500;
    packets.push(packet(Below::V4, true, ACK, seq, &batch));
    packets.push(packet(Below::V4, true, ACK, seq - 500, &[1; 500]));
    packets.push(packet(Below::V4, false, ACK, 5001, &tds(4, 0, &[0; 100])));
    packets.push(packet(
        Below::V4,
        false,
        ACK,
        5109,
        &tds(4, 1, &[0; 100])[..50],
    ));
    packets.push(packet(Below::V4, false, ACK, 5159, &[0; 58]));
    let Some(told) = both(&packets) else { return };
    let headers = kinds(&told)
        .iter()
        .filter(|kind| **kind == Kind::Header)
        .count();
    assert!(headers >= 5, "{:?}", kinds(&told));
}

#[test]
fn requests_are_counted_the_same_and_told_with_the_connections_end() {
    let batch = tds(1, 1, b"s\0e\0l\0e\0c\0t\0");
    let procedure = tds(3, 1, &[0; 100]);
    let attention = tds(6, 1, &[]);
    let reply = tds(4, 1, &[0; 60]);
    let half = reply.len() / 2;
    let said: [(bool, &[u8]); 17] = [
        (true, &batch),
        (false, &reply),
        (true, &procedure[..50]),
        (true, &procedure[50..]),
        (false, &reply[..half]),
        (false, &reply[half..]),
        (true, &batch),
        (true, &attention),
        (false, &reply),
        (true, &attention),
        (false, &reply),
        (true, &[tds(7, 0, &[0; 90]), tds(7, 1, &[0; 9])].concat()),
        (false, &reply),
        (true, &tds(14, 1, &[0; 20])),
        (false, &reply),
        (true, &batch[..3]),
        (true, &batch[3..]),
    ];
    let mut packets = handshake(Below::V4);
    let mut seqs = [1001_u32, 5001];
    for (from_client, payload) in said {
        let seq = &mut seqs[usize::from(!from_client)];
        packets.push(packet(Below::V4, from_client, ACK, *seq, payload));
        *seq += payload.len() as u32;
    }
    packets.push(packet(Below::V4, true, ACK | FIN, seqs[0], &[]));
    let Some(told) = both(&packets) else { return };
    let told_whole = kinds(&told);
    assert_eq!(
        told_whole[3..],
        [
            Kind::Header,
            Kind::Header,
            Kind::Tally,
            Kind::Tally,
            Kind::Fin
        ],
    );
    let (_, last) = &told[told.len() - 2];
    let tally = Tally::read(last).unwrap();
    let sums = &tally.sums;
    assert_eq!(
        (
            sums.batch,
            sums.rpc,
            sums.bulk,
            sums.transaction,
            sums.attention
        ),
        (2, 1, 1, 1, 2),
    );
    assert!(
        tally.is_open() && tally.times[0] == 5,
        "{:?}",
        tally.times[0]
    );
}

#[test]
fn more_headers_than_one_turn_walks_are_told_the_same() {
    let Some(mut trial) = trial() else { return };
    for count in [3, 4, 5, 8, 20, 32, 33, 40] {
        let record = [0x16, 3, 3, 0, 4, 1, 2, 3, 4].repeat(count);
        let batches = tds(1, 1, b"s\0e\0").repeat(count);
        let mut packets = handshake(Below::V4);
        packets.push(packet(Below::V4, true, ACK, 1001, &record));
        let seq = 1001 + record.len() as u32;
        packets.push(packet(Below::V4, true, ACK, seq, &batches));
        let told = both_in(&mut trial, &packets);
        let headers = kinds(&told);
        let headers = headers.iter().filter(|kind| **kind == Kind::Header);
        // Behind headers that were not walked a batch is not believed, since it may be made up.
        assert!(
            count > 32 || headers.count() >= count / 2,
            "{count} headers"
        );
    }
}

#[test]
fn strange_syns_and_resets_change_nothing_until_a_syn_is_answered() {
    let Some(mut trial) = trial() else { return };
    let mut packets = handshake(Below::V4);
    packets.push(packet(Below::V4, true, ACK, 1001, &tds(0x12, 1, &[7; 40])));
    packets.push(packet(Below::V4, false, RST, 0xDEAD_BEEF, &[]));
    packets.push(packet(Below::V4, true, SYN, 0xBEEF, &[]));
    packets.push(packet(Below::V4, false, ACK, 5001, &tds(4, 1, &[9; 30])));
    packets.push(packet(Below::V4, true, SYN, 0xBEEF, &[]));
    let mut answer = packet(Below::V4, false, SYN | ACK, 9000, &[]);
    answer[42..46].copy_from_slice(&0xBEF0_u32.to_be_bytes());
    packets.push(answer);
    let told = both_in(&mut trial, &packets);
    let expected = [
        Kind::Syn,
        Kind::SynAck,
        Kind::Ack,
        Kind::Segment,
        Kind::Segment,
        Kind::Syn,
        Kind::SynAck,
    ];
    assert_eq!(kinds(&told), expected);
    assert_eq!(told[5].0.seq.0, 0xBEEF);
}

#[test]
fn a_connection_is_born_at_the_moment_of_its_first_packet() {
    for (first, from_client) in [(SYN, true), (SYN | ACK, false), (RST, false)] {
        let Some(mut trial) = trial() else { return };
        let bytes = packet(Below::V4, from_client, first, 1, &[]);
        trial.run("tds_ether_in", &bytes, 1).unwrap();
        let mut moments = Vec::new();
        trial.drain(|record| {
            if let Record::Event(event, _) = record {
                moments.push((event.born, event.time));
            }
        });
        let [(born, time)] = moments[..] else {
            panic!("{moments:?}");
        };
        assert_eq!(born, time);
    }
}

#[test]
fn what_comes_with_a_syn_is_told_the_same_wherever_it_is_cut() {
    let Some(mut trial) = trial() else { return };
    let stream = [tds(0x12, 1, &[7; 40]), login7()].concat();
    for cut in (1..stream.len()).step_by(5) {
        for acknowledged in [0, cut] {
            let mut packets = vec![packet(Below::V4, true, SYN, 1000, &stream[..cut])];
            let mut answer = packet(Below::V4, false, SYN | ACK, 5000, &[]);
            let ack = 1001 + acknowledged as u32;
            answer[42..46].copy_from_slice(&ack.to_be_bytes());
            packets.push(answer);
            packets.push(packet(Below::V4, true, ACK, ack, &stream[acknowledged..]));
            let told = both_in(&mut trial, &packets);
            let sent = told.last().map(|(event, _)| event.client);
            let counted = sent.map(|sent| (sent.bytes, sent.retransmits));
            assert_eq!(counted, Some((stream.len() as u64, 0)), "{cut}");
        }
    }
}

#[test]
fn five_segments_in_any_order_are_told_the_same() {
    let Some(mut trial) = trial() else { return };
    let reply = tds(4, 1, &[9; 92]);
    for order in [
        [0, 2, 4, 1, 3],
        [4, 3, 2, 1, 0],
        [1, 3, 0, 4, 2],
        [2, 0, 4, 3, 1],
    ] {
        let mut packets = handshake(Below::V4);
        for index in order {
            let part = &reply[20 * index..20 * (index + 1)];
            packets.push(packet(
                Below::V4,
                false,
                ACK,
                5001 + 20 * index as u32,
                part,
            ));
        }
        packets.push(packet(Below::V4, false, ACK | FIN, 5301, &[]));
        packets.push(packet(Below::V4, false, ACK, 5101, &[5; 200]));
        let told = both_in(&mut trial, &packets);
        let sent = told.last().map(|(event, _)| event.server);
        assert_eq!(
            sent.map(|sent| (sent.bytes, sent.retransmits)),
            Some((300, 0))
        );
    }
}

/// A generator of packets that nobody sends on purpose.
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

#[test]
fn the_kernel_tells_of_a_thousand_odd_packets_what_the_library_does() {
    let Some(mut trial) = trial() else { return };
    let mut noise = Noise(42);
    let messages = [
        tds(0x12, 1, &[3; 60]),
        login7(),
        tds(
            0x11,
            1,
            &[b"NTLMSSP\0\x03\0\0\0".as_slice(), &[1; 200]].concat(),
        ),
        tds(4, 1, &[5; 700]),
        tds(4, 0, &[6; 90]),
        tds(1, 1, &[7; 40]),
        vec![0x16, 3, 3, 0, 4, 1, 2, 3, 4],
        vec![0x17, 3, 3, 0, 3, 1, 2, 3],
        vec![
            0x53, 8, 0, 0, 24, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1, 1, 0, 8, 0, 0, 0, 0,
        ],
        b"no header of any framing".to_vec(),
    ];
    for _ in 0..20 {
        let mut packets = handshake(Below::V4);
        let mut next = [5001_u32, 1001];
        for _ in 0..50 {
            let from_client = noise.below(2) == 1;
            let side = &mut next[usize::from(from_client)];
            let mut payload = Vec::new();
            for _ in 0..=noise.below(3) {
                payload.extend(&messages[noise.below(messages.len() as u64) as usize]);
            }
            payload.truncate(1 + noise.below(payload.len() as u64) as usize);
            let seq = match noise.below(8) {
                0 => side.wrapping_sub(20),
                1 => side.wrapping_add(33),
                _ => *side,
            };
            *side = seq.wrapping_add(payload.len() as u32);
            packets.push(packet(Below::V4, from_client, ACK, seq, &payload));
        }
        both_in(&mut trial, &packets);
    }
}

#[test]
fn a_login_is_told_until_the_agent_has_decided_this_very_one() {
    let Some(mut trial) = trial() else { return };
    for bytes in handshake(Below::V4) {
        trial.run("tds_ether_in", &bytes, 1).unwrap();
    }
    let mut flow = None;
    trial.drain(|record| {
        if let Record::Event(event, _) = record {
            flow = Some((event.key, event.born));
        }
    });
    let (key, born) = flow.unwrap();
    // Another connection, which has taken the slot.
    for (decided, kind) in [(born + 1, Kind::Segment), (born, Kind::Header)] {
        trial.decide(key, decided).unwrap();
        let seq = if decided == born { 5019 } else { 5001 };
        let reply = packet(Below::V4, false, ACK, seq, &tds(4, 1, &[9; 10]));
        assert_eq!(kinds(&run(&mut trial, &[reply])), [kind]);
    }
}

#[test]
fn the_end_of_an_unknown_connection_is_told_and_a_reset_leaves_no_flow() {
    let Some(mut trial) = trial() else { return };
    let reset = packet(Below::V4, false, RST, 5001, &[]);
    for _ in 0..2 {
        let told = run(&mut trial, std::slice::from_ref(&reset));
        assert_eq!(kinds(&told), [Kind::Rst]);
        assert_eq!(told[0].0.number, 1);
    }
    let ends = [true, false].map(|from_client| packet(Below::V4, from_client, FIN, 9, &[]));
    let told = run(&mut trial, &ends);
    assert_eq!(kinds(&told), [Kind::Fin; 2]);
    assert_eq!((told[1].0.client.packets, told[1].0.server.packets), (1, 1));
}
