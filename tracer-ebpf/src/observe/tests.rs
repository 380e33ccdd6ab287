mod answers;
mod count;
mod ends;
mod fast_open;
mod flood;
mod orders;
mod quiet;
mod short;
mod strangers;
mod wanted;

use super::*;
use crate::{
    event::mark,
    flow::{FlowKey, decided},
    framing::packet_type,
    test_messages::{Login7, SECRET, count_secret, ntlm_authenticate, prelogin, tds},
};

const CLIENT_ISN: u32 = u32::MAX - 40; // so that the sequence wraps
const SERVER_ISN: u32 = 9000;

/// A connection as it is watched at one point or two.
struct Wire {
    flow: Flow,
    config: Config,
    now: u64,
    point: Point,
    decided: u8,
    heard: Heard,
    fate: Fate,
}

#[derive(Default)]
struct Heard {
    told: Vec<(Event, Vec<u8>)>,
    lost: Vec<LossReason>,
    /// Where requests are counted, if they are.
    tally: Option<Tally>,
    /// Kinds of those that a short record would tell.
    short: Vec<u8>,
}

impl Sink<[u8]> for Heard {
    fn tally(&mut self) -> Option<&mut Tally> {
        self.tally.as_mut()
    }

    fn relate_tally(&mut self, told: &Told<'_>) {
        self.told.push((told.event(), Vec::new()));
    }

    fn relate(&mut self, told: &Told<'_>, packet: &[u8], at: u32) {
        if short::says_the_same(told) {
            self.short.push(told.event().kind);
        }
        self.tell(&told.event(), packet, at);
    }

    fn tell(&mut self, event: &Event, packet: &[u8], at: u32) {
        let at = at as usize;
        let run = packet.get(at..at + event.run_len as usize);
        self.told.push((*event, run.unwrap_or_default().to_vec()));
    }

    fn relate_parts(&mut self, told: &Told<'_>, packet: &[u8], runs: &Runs) {
        let event = told.event();
        let mut run = Vec::new();
        let payload = &packet[told.offset(event.seq) as usize..];
        runs.each_byte(event.seq, payload, |bytes| run.extend_from_slice(bytes));
        self.told.push((event, run));
    }

    fn lose(&mut self, reason: LossReason) {
        self.lost.push(reason);
    }
}

impl Wire {
    /// A connection whose handshake has passed and been told.
    fn new() -> Self {
        let syn = segment(Direction::ToServer, tcp_flag::SYN, Seq(CLIENT_ISN), 0);
        let mut wire = Self {
            flow: Flow::new(&syn, true, 1),
            config: Config::default(),
            now: 0,
            point: Point::new(1, true),
            decided: decided::NO,
            heard: Heard::default(),
            fate: Fate::Keep,
        };
        wire.see(&syn, &[]);
        let flags = tcp_flag::SYN | tcp_flag::ACK;
        wire.see(
            &segment(Direction::ToClient, flags, Seq(SERVER_ISN), 0),
            &[],
        );
        wire.send(Direction::ToServer, 0, &[]);
        wire
    }

    fn decided() -> Self {
        let mut wire = Self::new();
        wire.decided = decided::YES;
        wire.heard.told.clear();
        wire
    }

    fn see(&mut self, segment: &Segment, bytes: &[u8]) {
        self.now += 1;
        let seen = Sighting {
            now: self.now,
            point: self.point,
        };
        let is_decided = self.decided;
        self.fate = packet(
            &mut self.flow,
            segment,
            bytes,
            seen,
            &self.config,
            || is_decided,
            &mut self.heard,
        );
    }

    /// A segment with these bytes, `at` bytes after the start of its side's stream.
    fn send(&mut self, direction: Direction, at: usize, bytes: &[u8]) {
        let seq = position(direction, at);
        self.see(&segment(direction, tcp_flag::ACK, seq, bytes.len()), bytes);
    }

    fn client(&mut self, at: usize, bytes: &[u8]) {
        self.send(Direction::ToServer, at, bytes);
    }

    fn server(&mut self, at: usize, bytes: &[u8]) {
        self.send(Direction::ToClient, at, bytes);
    }

    /// An end of the stream after `at` bytes.
    fn end(&mut self, direction: Direction, flag: u8, at: usize) {
        self.see(
            &segment(direction, flag | tcp_flag::ACK, position(direction, at), 0),
            &[],
        );
    }

    /// Acknowledges all of the other side, its FIN included.
    fn acknowledge(&mut self, direction: Direction, at: usize) {
        let mut ack = segment(direction, tcp_flag::ACK, position(direction, at), 0);
        ack.ack = self.flow.half(direction.reversed()).next_seq;
        self.see(&ack, &[]);
    }

    fn told(&self, kind: Kind) -> Vec<&(Event, Vec<u8>)> {
        let told = self.heard.told.iter();
        told.filter(|(event, _)| event.kind == kind as u8).collect()
    }

    /// All bytes that were told.
    fn bytes(&self) -> Vec<u8> {
        self.heard.told.iter().flat_map(bytes_of).collect()
    }
}

/// The bytes of the stream that a record tells.
fn bytes_of((event, run): &(Event, Vec<u8>)) -> Vec<u8> {
    let parts = event.told(run);
    parts.flat_map(|(_, bytes)| bytes).copied().collect()
}

fn position(direction: Direction, at: usize) -> Seq {
    let isn = match direction {
        Direction::ToServer => CLIENT_ISN,
        Direction::ToClient => SERVER_ISN,
    };
    Seq(isn).add(1 + at as u32)
}

fn segment(direction: Direction, flags: u8, seq: Seq, len: usize) -> Segment {
    let ack = match direction {
        Direction::ToServer => SERVER_ISN,
        Direction::ToClient => CLIENT_ISN,
    };
    Segment {
        key: FlowKey {
            a: [1; 4],
            b: [2; 4],
            a_port: 1433,
            b_port: 50_000,
        },
        from_a: direction == Direction::ToClient,
        seq,
        ack: Seq(ack).add(1),
        flags,
        ttl: 64,
        window: 512,
        payload_at: 0,
        payload_len: len as u32,
    }
}

fn batch(len: usize) -> Vec<u8> {
    tds(packet_type::SQL_BATCH, 1, &vec![0x20; len])
}

#[test]
fn a_packet_that_passes_a_second_point_counts_once() {
    let mut wire = Wire::new();
    wire.client(0, &prelogin());
    let told = wire.heard.told.len();
    wire.point = Point::new(2, false);
    wire.client(0, &prelogin());
    assert_eq!(wire.heard.told.len(), told);
    let client = wire.flow.client().sent;
    assert_eq!((client.packets, client.retransmits), (3, 0));
    assert_eq!(client.bytes, prelogin().len() as u64);
}

#[test]
fn a_direction_that_moves_to_another_point_is_followed_there() {
    let mut wire = Wire::new();
    wire.client(0, &prelogin());
    wire.point = Point::new(2, true);
    wire.client(prelogin().len(), &batch(10));
    assert_eq!(wire.flow.client().sent.packets, 4);
}

#[test]
fn a_retransmission_is_counted_and_told_without_its_bytes() {
    let mut wire = Wire::new();
    wire.client(0, &prelogin());
    wire.client(0, &prelogin());
    let again = wire.told(Kind::Segment)[1];
    assert_eq!(again.0.marks & mark::RETRANSMIT, mark::RETRANSMIT);
    assert!(again.1.is_empty());
    let client = wire.flow.client().sent;
    assert_eq!((client.packets, client.retransmits), (4, 1));
    assert_eq!(client.bytes, prelogin().len() as u64);
}

#[test]
fn behind_a_gap_framing_is_taken_up_at_a_header() {
    let mut wire = Wire::decided();
    let request = batch(40);
    wire.client(0, &request);
    wire.client(2 * request.len() + 5, &[0x20; 20]);
    wire.client(3 * request.len(), &request);
    let headers = wire.told(Kind::Header);
    assert_eq!(headers.len(), 2);
    let (second, _) = headers[1];
    assert_eq!(second.marks & mark::RESYNC, mark::RESYNC);
    assert_eq!(
        second.run_seq,
        position(Direction::ToServer, 3 * request.len())
    );
}

#[test]
fn a_hole_that_is_filled_later_is_no_retransmission() {
    let mut wire = Wire::new();
    let message = prelogin();
    wire.client(0, &message[..8]);
    wire.client(12, &message[12..]);
    wire.client(8, &message[8..12]);
    let segments = wire.told(Kind::Segment);
    assert_eq!(segments[1].0.marks & mark::GAP, mark::GAP);
    assert_eq!(segments[2].0.marks & mark::FILLS_GAP, mark::FILLS_GAP);
    assert_eq!(bytes_of(segments[2]), message[8..12]);
    assert_eq!(wire.flow.client().sent.retransmits, 0);
}

#[test]
fn a_header_that_straddles_two_segments_is_told_whole_and_once() {
    let request = batch(100);
    for cut in 1..8 {
        let mut wire = Wire::decided();
        wire.client(0, &request[..cut]);
        wire.client(cut, &request[cut..]);
        let headers = wire.told(Kind::Header);
        assert_eq!(headers.len(), 1, "cut after {cut}");
        let (header, _) = headers[0];
        assert_eq!(header.run_seq, position(Direction::ToServer, 0));
        assert_eq!(header.packet_len as usize, request.len());
        // Framing needs the first four bytes.
        assert_eq!(header.header[..4], request[..4]);
    }
}

#[test]
fn each_of_several_messages_in_one_segment_is_told() {
    let mut wire = Wire::decided();
    let reply = [&tds(4, 1, &[0xFD; 13])[..]; 3].concat();
    wire.server(0, &reply);
    let headers = wire.told(Kind::Header);
    let starts: Vec<_> = headers.iter().map(|(event, _)| event.run_seq).collect();
    let expected = [0, 21, 42].map(|at| position(Direction::ToClient, at));
    assert_eq!(starts, expected);
    let whole = |event: &Event| event.marks & mark::COMPLETE != 0;
    assert!(headers.iter().all(|(event, _)| whole(event)));
}

#[test]
fn the_end_of_a_reply_is_told_where_it_passes() {
    let mut wire = Wire::decided();
    let reply = tds(4, 1, &[0xFD; 500]);
    wire.server(0, &reply[..100]);
    wire.server(100, &reply[100..300]);
    assert!(wire.told(Kind::End).is_empty());
    wire.server(300, &reply[300..]);
    let ends = wire.told(Kind::End);
    assert_eq!(ends.len(), 1);
    assert_eq!(
        ends[0].0.run_seq,
        position(Direction::ToClient, reply.len())
    );
}

/// Every way to cut a stream in three, as ranges.
fn cuts(len: usize, step: usize) -> impl Iterator<Item = [std::ops::Range<usize>; 3]> {
    (1..len).flat_map(move |first| {
        (first..len)
            .step_by(step)
            .map(move |second| [0..first, first..second, second..len])
    })
}

const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

fn assert_no_secret_told(stream: &[u8], step: usize) {
    for cut in cuts(stream.len(), step) {
        for order in ORDERS {
            let mut wire = Wire::new();
            for range in order.map(|index| cut[index].clone()) {
                if !range.is_empty() {
                    wire.client(range.start, &stream[range]);
                }
            }
            assert!(
                !wire.bytes().contains(&SECRET),
                "cut {cut:?}, order {order:?}"
            );
        }
    }
}

#[test]
fn no_secret_of_a_login_is_told_however_it_is_cut_and_ordered() {
    let logins = [(12, 0, 0, 0), (8, 8, 0, 0), (0, 0, 60, 0), (0, 0, 0, 60)];
    for (password, new_password, sspi, federated) in logins {
        let login = Login7 {
            password,
            new_password,
            sspi,
            federated,
        };
        assert_no_secret_told(&login.packet(), 3);
    }
}

#[test]
fn no_secret_of_a_login_between_other_messages_is_told() {
    let login = Login7 {
        password: 12,
        ..Login7::default()
    };
    let attention = tds(packet_type::ATTENTION, 1, &[]);
    let stream = [prelogin(), login.packet(), attention].concat();
    assert_no_secret_told(&stream, 1);
}

#[test]
fn no_response_of_an_ntlm_message_is_told_however_it_is_cut_and_ordered() {
    let stream = tds(packet_type::SSPI, 1, &ntlm_authenticate());
    assert_no_secret_told(&stream, 3);
    let stream = [stream, tds(packet_type::ATTENTION, 1, &[])].concat();
    assert_no_secret_told(&stream, 3);
}

#[test]
fn a_repetition_that_goes_on_with_new_bytes_tells_no_secret() {
    let login = Login7 {
        password: 12,
        ..Login7::default()
    };
    let attention = tds(packet_type::ATTENTION, 1, &[]);
    let stream = [login.packet(), attention.clone(), attention].concat();
    for first in 1..stream.len() {
        for again in 0..first {
            let mut wire = Wire::new();
            wire.client(0, &stream[..first]);
            wire.client(again, &stream[again..]);
            assert!(!wire.bytes().contains(&SECRET), "{first}, from {again}");
        }
    }
}

#[test]
fn of_a_login_in_one_piece_all_but_the_secrets_is_told() {
    let login = Login7 {
        password: 12,
        new_password: 6,
        sspi: 90,
        federated: 120,
    };
    let packet = login.packet();
    let mut wire = Wire::new();
    wire.client(0, &packet);
    let secret = count_secret(&packet);
    assert_eq!(wire.bytes().len(), packet.len() - secret);
}

#[test]
fn a_body_behind_a_header_that_came_alone_is_told_but_for_its_secrets() {
    let login = Login7 {
        password: 12,
        ..Login7::default()
    };
    let packet = login.packet();
    let mut wire = Wire::new();
    wire.client(0, &packet[..8]);
    wire.client(8, &packet[8..]);
    assert_eq!(wire.bytes().len(), packet.len() - 12);
}

#[test]
fn the_last_record_of_a_segment_reaches_its_end() {
    let login = Login7 {
        password: 12,
        sspi: 90,
        ..Login7::default()
    };
    let stream = [prelogin(), login.packet()].concat();
    for cut in cuts(stream.len(), 7) {
        let mut wire = Wire::new();
        for range in cut.into_iter().filter(|range| !range.is_empty()) {
            let before = wire.heard.told.len();
            wire.client(range.start, &stream[range.clone()]);
            let told = &wire.heard.told[before..];
            let data =
                |event: &Event| [Kind::Segment as u8, Kind::More as u8].contains(&event.kind);
            let last = told.iter().rfind(|(event, _)| data(event));
            let (last, _) = last.unwrap();
            let end = position(Direction::ToServer, range.end);
            assert!(last.parts != 0 || last.run_seq.add(last.run_len) == end);
            let mut kinds = told.iter().map(|(event, _)| event.kind);
            assert_eq!(kinds.next(), Some(Kind::Segment as u8));
            assert!(kinds.all(|kind| kind == Kind::More as u8));
        }
    }
}

#[test]
fn past_the_budget_only_headers_are_told() {
    let mut wire = Wire::new();
    wire.config.login_bytes = 100;
    let record = [&[0x16, 3, 3, 0, 200][..], &[7; 200]].concat();
    for index in 0..3 {
        wire.server(index * record.len(), &record);
    }
    assert_eq!(wire.bytes().len(), 100 + 2 * 5);
    assert_eq!(wire.heard.lost, [LossReason::BudgetSpent]);
}

#[test]
fn a_request_ends_the_login() {
    let mut wire = Wire::new();
    wire.client(0, &batch(30));
    assert_eq!(wire.flow.decided, decided::YES);
    assert_eq!(wire.told(Kind::Header).len(), 1);
    assert!(!wire.bytes().contains(&0x20), "no request's text is told");
}

#[test]
fn a_session_of_mars_ends_the_login() {
    let mut wire = Wire::new();
    let mut syn = vec![0x53, 1, 0, 0, 16, 0, 0, 0];
    syn.extend([0; 8]);
    wire.client(0, &syn);
    assert_eq!(wire.flow.decided, decided::YES);
    let headers = wire.told(Kind::Header);
    assert_eq!(headers[0].1, syn);
}

#[test]
fn a_syn_with_another_number_reopens_the_flow_that_ends_and_the_same_one_does_not() {
    let mut wire = Wire::new();
    let again = segment(Direction::ToServer, tcp_flag::SYN, Seq(CLIENT_ISN), 0);
    let other = segment(Direction::ToServer, tcp_flag::SYN, Seq(77), 0);
    assert!(!wire.flow.is_reopened_by(&again));
    assert!(!wire.flow.is_reopened_by(&other), "it lives");
    wire.end(Direction::ToServer, tcp_flag::FIN, 0);
    assert!(wire.flow.is_reopened_by(&other));
}

#[test]
fn events_of_a_direction_are_numbered_without_gaps() {
    let mut wire = Wire::new();
    let login = Login7 {
        password: 12,
        ..Login7::default()
    };
    wire.client(0, &prelogin());
    wire.client(prelogin().len(), &login.packet());
    let client = |event: &Event| event.direction == Direction::ToServer as u8;
    let numbers = wire.heard.told.iter().filter(|(event, _)| client(event));
    for (number, (event, _)) in (1..).zip(numbers) {
        assert_eq!(event.number, number);
    }
}

#[test]
fn a_syn_behind_its_answer_belongs_to_it_and_moves_no_stream_back() {
    let flags = tcp_flag::SYN | tcp_flag::ACK;
    let mut answer = segment(Direction::ToClient, flags, Seq(SERVER_ISN), 0);
    answer.ack = Seq(CLIENT_ISN).add(1);
    let syn = segment(Direction::ToServer, tcp_flag::SYN, Seq(CLIENT_ISN), 0);
    for asked in [&[][..], &prelogin()] {
        let mut wire = Wire::new();
        wire.flow = Flow::new(&answer, false, 1);
        wire.see(&answer, &[]);
        wire.client(0, asked);
        assert!(!wire.flow.is_reopened_by(&syn));
        wire.see(&syn, &[]);
        assert_eq!(wire.flow.client().sent.isn, Seq(CLIENT_ISN));
        let expected = position(Direction::ToServer, asked.len());
        assert_eq!(wire.flow.client().next_seq, expected);
        assert!(!wire.flow.is_reopened_by(&syn), "it may be repeated");
        let mut other = syn;
        other.seq = syn.seq.add(1);
        assert!(!wire.flow.is_strange(&syn) && wire.flow.is_strange(&other));
    }
}
