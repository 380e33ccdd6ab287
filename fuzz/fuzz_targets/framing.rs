//! A client's stream, cut and ordered at will, through the rules of the kernel: nothing panics,
//! records stay within their segments, and of a LOGIN7's password no byte is told.

#![no_main]

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use tracer_ebpf::{
    config::Config,
    event::{Event, Kind},
    flow::{Flow, FlowKey, Point, decided},
    loss::LossReason,
    observe::{self, Sighting, Sink},
    packet::{Segment, tcp_flag},
    seq::Seq,
};

/// Bytes that stand for secrets. They are no header of any framing.
const SECRET: u8 = 0xA5;
const PASSWORD: usize = 40;
const ISN: u32 = 1000;
const PRELOGIN: &[u8] = &[
    0x12, 1, 0, 20, 0, 0, 1, 0, 0, 0, 6, 0, 6, 0xFF, 9, 0, 0, 0, 0, 0,
];
const ATTENTION: &[u8] = &[6, 1, 0, 8, 0, 0, 1, 0];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    /// Messages before the login: PRELOGIN, or else ATTENTION.
    before: Vec<bool>,
    /// What comes after it.
    after: &'a [u8],
    /// How the stream is cut: lengths of the segments.
    cuts: Vec<u8>,
    /// Which segments change places with the one behind, are sent again, are lost, or are sent
    /// again together with the one before.
    faults: Vec<u8>,
    flags: u8,
}

#[derive(Default)]
struct Told {
    segment: (u32, u32),
    bytes: Vec<u8>,
}

impl Sink<[u8]> for Told {
    fn tell(&mut self, event: &Event, packet: &[u8], at: u32) {
        let at = at as usize;
        let len = event.run_len as usize;
        if matches!(Kind::of(event.kind), Some(Kind::Segment | Kind::More)) && len > 0 {
            let from = event.run_seq.0.wrapping_sub(self.segment.0);
            assert!(from + event.run_len <= self.segment.1, "{event:?}");
            assert_eq!(from as usize, at, "{event:?}");
        }
        // A header's record may have its bytes from the segment before.
        if let Some(run) = packet.get(at..at + len) {
            self.bytes.extend(run);
        }
        assert!(!event.header.contains(&SECRET) || event.kind == Kind::Header as u8);
    }

    fn relate_parts(&mut self, told: &observe::Told<'_>, packet: &[u8], runs: &observe::Runs) {
        let event = told.event();
        let mut run = Vec::new();
        runs.each_byte(event.seq, packet, |bytes| run.extend_from_slice(bytes));
        for (span, bytes) in event.told(&run) {
            let from = span.from.0.wrapping_sub(self.segment.0);
            assert!(from + span.len() <= self.segment.1, "{event:?}");
            self.bytes.extend(bytes);
        }
    }

    fn lose(&mut self, _: LossReason) {}
}

/// A LOGIN7 packet with nothing but a password.
fn login() -> Vec<u8> {
    let mut body = vec![0; 94];
    let length = body.len() + PASSWORD;
    body[..4].copy_from_slice(&(length as u32).to_le_bytes());
    body[44..48].copy_from_slice(&[94, 0, PASSWORD as u8 / 2, 0]);
    body.resize(length, SECRET);
    let whole = (body.len() + 8) as u16;
    let mut packet = vec![0x10, 1];
    packet.extend(whole.to_be_bytes());
    packet.extend([0, 0, 1, 0]);
    packet.extend(body);
    packet
}

fn segment(flags: u8, seq: u32, len: usize) -> Segment {
    Segment {
        key: FlowKey {
            a: [1; 4],
            b: [2; 4],
            a_port: 1433,
            b_port: 50_000,
        },
        from_a: false,
        seq: Seq(seq),
        ack: Seq(1),
        flags,
        ttl: 64,
        window: 512,
        payload_at: 0,
        payload_len: len as u32,
    }
}

fuzz_target!(|input: Input<'_>| {
    let visible = |bytes: &[u8]| !bytes.contains(&SECRET);
    if !visible(input.after) {
        return;
    }
    let mut stream = Vec::new();
    for prelogin in input.before.iter().take(4) {
        stream.extend(if *prelogin { PRELOGIN } else { ATTENTION });
    }
    stream.extend(login());
    stream.extend(input.after);
    let mut segments = Vec::new();
    let mut at = 0;
    let mut cuts = input.cuts.iter();
    while at < stream.len() {
        let len = cuts.next().map_or(usize::MAX, |cut| 1 + usize::from(*cut));
        let end = at.saturating_add(len).min(stream.len());
        segments.push(at..end);
        at = end;
    }
    for (index, fault) in input.faults.iter().enumerate() {
        match fault % 8 {
            1 if index + 1 < segments.len() => segments.swap(index, index + 1),
            2 if index < segments.len() => segments.insert(index, segments[index].clone()),
            3 if index < segments.len() => drop(segments.remove(index)),
            4 if (1..segments.len()).contains(&index) => {
                segments[index].start = segments[index].start.min(segments[index - 1].start);
            }
            _ => {}
        }
    }
    let syn = segment(tcp_flag::SYN, ISN, 0);
    let mut flow = Flow::new(&syn, true, 1);
    let config = Config::default();
    let seen = Sighting {
        now: 1,
        point: Point::new(1, true),
    };
    let mut told = Told::default();
    let empty: &[u8] = &[];
    observe::packet(
        &mut flow,
        &syn,
        empty,
        seen,
        &config,
        || decided::NO,
        &mut told,
    );
    for range in segments {
        let bytes = &stream[range.clone()];
        let seq = ISN + 1 + range.start as u32;
        let data = segment(tcp_flag::ACK | input.flags & 1, seq, bytes.len());
        told.segment = (seq, data.payload_len);
        observe::packet(
            &mut flow,
            &data,
            bytes,
            seen,
            &config,
            || decided::NO,
            &mut told,
        );
    }
    assert!(visible(&told.bytes), "a secret was told");
});
