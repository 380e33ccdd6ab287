//! The object as it ships, run by the kernel on packets that are made up: it tells what the
//! library tells of the same packets, and no secret leaves it. Needs root; says so where it skips.

use std::collections::HashMap;

use tracer::probe::{Options, Record, trial::Trial};
use tracer_ebpf::{
    config::Config,
    event::{Counters, Event, Kind},
    flow::{Flow, FlowKey, Point, decided},
    loss::LossReason,
    observe::{self, Fate, Opens, Runs, Sighting, Sink},
    packet::{self, Link, Segment},
    short::ShortHeader,
    tally::{BUCKETS, Tally},
};

const NEXT: i32 = -1;
const CLIENT: u16 = 40_000;
const SERVER: u16 = 1433;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// The network below the segment.
#[derive(Clone, Copy)]
enum Below {
    V4,
    V4Options,
    Vlan,
    QinQ,
    V6,
    V6Extensions,
}

/// A segment from the client (or to it), as a packet.
fn packet(below: Below, from_client: bool, flags: u8, seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2; 12];
    match below {
        Below::Vlan => bytes.extend([0x81, 0, 0, 7]),
        Below::QinQ => bytes.extend([0x88, 0xA8, 0, 7, 0x81, 0, 0, 8]),
        _ => {}
    }
    let tcp_len = 20 + payload.len();
    match below {
        Below::V6 | Below::V6Extensions => {
            let extensions: &[u8] = if matches!(below, Below::V6Extensions) {
                &[60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0]
            } else {
                &[]
            };
            bytes.extend([0x86, 0xDD, 0x60, 0, 0, 0]);
            bytes.extend(((tcp_len + extensions.len()) as u16).to_be_bytes());
            bytes.extend([if extensions.is_empty() { 6 } else { 0 }, 64]);
            let mut sides = [[0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]; 2];
            sides[usize::from(from_client)][15] = 2;
            bytes.extend(sides.concat());
            bytes.extend(extensions);
        }
        _ => {
            let options = if matches!(below, Below::V4Options) {
                8
            } else {
                0
            };
            bytes.extend([8, 0, 0x45 + options as u8 / 4, 0]);
            bytes.extend(((20 + options + tcp_len) as u16).to_be_bytes());
            bytes.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
            let mut sides = [[10, 0, 0, 1]; 2];
            sides[usize::from(from_client)][3] = 2;
            bytes.extend(sides.concat());
            bytes.extend(vec![1; options]);
        }
    }
    let (source, destination) = if from_client {
        (CLIENT, SERVER)
    } else {
        (SERVER, CLIENT)
    };
    bytes.extend(source.to_be_bytes());
    bytes.extend(destination.to_be_bytes());
    bytes.extend(seq.to_be_bytes());
    bytes.extend(1_u32.to_be_bytes());
    bytes.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    bytes.extend(payload);
    bytes
}

fn tds(kind: u8, status: u8, body: &[u8]) -> Vec<u8> {
    let len = ((body.len() + 8) as u16).to_be_bytes();
    let mut bytes = vec![kind, status, len[0], len[1], 0, 0, 1, 0];
    bytes.extend(body);
    bytes
}

const PASSWORD: &[u8] = b"p\0a\0s\0s\0w\0o\0r\0d\0";

fn login7() -> Vec<u8> {
    let mut body = vec![0; 94];
    body[44..48].copy_from_slice(&[94, 0, 8, 0]);
    body.extend(PASSWORD);
    body.extend(b"t\0a\0i\0l\0");
    tds(0x10, 1, &body)
}

/// What was told, without the times.
type Told = Vec<(Event, Vec<u8>)>;

fn without_times(mut event: Event) -> Event {
    for counters in [&mut event.client, &mut event.server] {
        counters.last_data = u64::from(counters.last_data != 0);
        counters.acked_at = u64::from(counters.acked_at != 0);
    }
    event.time = 0;
    event.born = 0;
    event
}

/// The same packets through the library.
#[derive(Default)]
struct Library {
    flows: HashMap<FlowKey, Flow>,
    /// Of the connection at hand; there is one at a time.
    tally: Tally,
    told: Told,
    losses: Vec<LossReason>,
}

impl Sink<[u8]> for Library {
    fn tell(&mut self, event: &Event, packet: &[u8], at: u32) {
        let run = &packet[at as usize..][..event.run_len as usize];
        self.told.push((without_times(*event), run.to_vec()));
    }

    fn relate_parts(&mut self, told: &observe::Told<'_>, packet: &[u8], runs: &Runs) {
        let event = told.event();
        let mut run = Vec::new();
        let payload = &packet[told.offset(event.seq) as usize..];
        runs.each_byte(event.seq, payload, |bytes| run.extend_from_slice(bytes));
        self.told.push((without_times(event), run));
    }

    fn tally(&mut self) -> Option<&mut Tally> {
        Some(&mut self.tally)
    }

    fn relate_tally(&mut self, told: &observe::Told<'_>) {
        let mut run = Vec::new();
        self.tally.write(&mut |bytes| run.extend_from_slice(bytes));
        let event = without_times(told.event());
        self.told.push((event, without_moments(&event, run)));
    }

    fn lose(&mut self, reason: LossReason) {
        self.losses.push(reason);
    }
}

/// The bytes of an event; of a tally, no moments and one sum of the times.
fn without_moments(event: &Event, run: Vec<u8>) -> Vec<u8> {
    if event.kind != Kind::Tally as u8 {
        return run;
    }
    let mut tally = Tally::read(&run).unwrap();
    let times = tally.in_use().map(|(_, count)| count).sum();
    let sums = &mut tally.sums;
    for moment in [
        &mut sums.max,
        &mut sums.told,
        &mut sums.start,
        &mut sums.sent,
        &mut sums.first_byte,
        &mut sums.cancelled,
    ] {
        *moment = u64::from(*moment != 0);
    }
    // The library's clock stands still.
    sums.max = 0;
    tally.times = [0; BUCKETS];
    tally.times[0] = times;
    let mut run = Vec::new();
    tally.write(&mut |bytes| run.extend_from_slice(bytes));
    run
}

/// The connection that a segment opens.
fn opened(segment: &Segment) -> Option<Flow> {
    let watched = |port| port == SERVER;
    let (from, to) = (segment.source_port(), segment.destination_port());
    let to_server = match observe::opens(segment, watched(from), watched(to)) {
        Opens::Nothing => return None,
        Opens::Watched { to_server } => Some(to_server),
        Opens::Foreign => None,
    };
    let mut flow = Flow::new(segment, to_server == Some(true), 1);
    flow.foreign = u8::from(to_server.is_none());
    Some(flow)
}

impl Library {
    fn see(&mut self, bytes: &[u8]) {
        let Ok(segment) = packet::walk(bytes, Link::Ethernet) else {
            return;
        };
        let seen = Sighting {
            now: 1,
            point: Point::new(1, true),
        };
        let old = self.flows.remove(&segment.key);
        let opens = old.is_none_or(|flow| flow.is_reopened_by(&segment));
        let Some(mut flow) = (if opens { opened(&segment) } else { old }) else {
            return;
        };
        if let Some(old) = old.filter(|_| opens && segment.has(ACK)) {
            flow.follow(&old.rival);
        }
        if flow.foreign != 0 {
            self.flows.insert(segment.key, flow);
            return;
        }
        let config = Config::default();
        if opens {
            self.tally = Tally::default();
        }
        let undecided = || decided::NO;
        let fate = observe::packet(&mut flow, &segment, bytes, seen, &config, undecided, self);
        if fate == Fate::Keep {
            self.flows.insert(segment.key, flow);
        }
    }
}

fn trial() -> Option<Trial> {
    match Trial::start(&Options::default()) {
        Ok(trial) => Some(trial),
        // Root may load programs: what the kernel refuses then is wrong.
        Err(error) if std::env::var_os("TDS_TRACER_REQUIRE_ROOT").is_some() => {
            panic!("the kernel programs cannot be run: {error}")
        }
        Err(error) => {
            eprintln!("SKIPPED: the kernel programs cannot be run here: {error}");
            None
        }
    }
}

fn run(trial: &mut Trial, packets: &[Vec<u8>]) -> Told {
    let mut told = Told::new();
    for bytes in packets {
        let outcome = trial.run("tds_ether_in", bytes, 1).unwrap();
        assert_eq!(outcome.verdict, NEXT, "every packet passes");
    }
    trial.drain(|record| match record {
        Record::Event(event, run) => {
            told.push((without_times(event), without_moments(&event, run.to_vec())));
        }
        Record::Header(header) => told.push((without_times(whole(&header)), Vec::new())),
        _ => {}
    });
    told
}

/// A short record, as far as it says anything.
fn whole(header: &ShortHeader) -> Event {
    Event {
        key: header.key,
        ..header.event(&Event::default(), u32::from(header.number))
    }
}

/// What a short record says of an event.
fn in_short(event: &Event) -> Event {
    let when = |sent: &Counters| Counters {
        last_data: sent.last_data,
        ..Counters::default()
    };
    Event {
        key: event.key,
        kind: event.kind,
        direction: event.direction,
        marks: event.marks,
        tcp_flags: ACK,
        ttl: event.ttl,
        framing: event.framing,
        number: event.number,
        packet_len: event.packet_len,
        header: [event.header[0], event.header[1], 0, 0, 0, 0, 0, 0],
        client: when(&event.client),
        server: when(&event.server),
        ..Event::default()
    }
}

/// Both halves on the same packets; what they told.
fn both(packets: &[Vec<u8>]) -> Option<Told> {
    Some(both_in(&mut trial()?, packets))
}

/// The same in programs that are loaded already, on a connection that another one gives way to.
fn both_in(trial: &mut Trial, packets: &[Vec<u8>]) -> Told {
    let mut library = Library::default();
    trial.losses();
    // One that lives gives way only to a SYN that is answered.
    let mut answer = packet(Below::V4, false, SYN | ACK, 7, &[]);
    answer[42..46].copy_from_slice(&78_u32.to_be_bytes());
    run(trial, &[packet(Below::V4, true, SYN, 77, &[]), answer]);
    trial.losses();
    for bytes in packets {
        library.see(bytes);
    }
    let told = run(trial, packets);
    assert_eq!(told.len(), library.told.len(), "as many records");
    for (index, (kernel, library)) in told.iter().zip(&library.told).enumerate() {
        // A short record knows nothing of what was sent.
        let is_short = kernel.0.client.packets | kernel.0.server.packets == 0;
        if is_short {
            assert_eq!(kernel.0, in_short(&library.0), "record {index}");
        } else {
            assert_eq!(kernel, library, "record {index}");
        }
    }
    let lost: u64 = trial.losses().iter().map(|(_, count)| count).sum();
    assert_eq!(lost, library.losses.len() as u64, "{:?}", library.losses);
    told
}

fn handshake(below: Below) -> Vec<Vec<u8>> {
    vec![
        packet(below, true, SYN, 1000, &[]),
        packet(below, false, SYN | ACK, 5000, &[]),
        packet(below, true, ACK, 1001, &[]),
    ]
}

fn kinds(told: &Told) -> Vec<Kind> {
    told.iter()
        .filter_map(|(event, _)| Kind::of(event.kind))
        .collect()
}

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
