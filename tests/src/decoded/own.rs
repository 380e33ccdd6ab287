//! What the agent's framing and decoders say of a capture.

mod messages;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use anyhow::Result;
use tracer::capture::{link::network_layer, reader::CaptureReader, tracker::Sighted};
use tracer::tds::smp::Smp;
use tracer_ebpf::{
    bytes::Snapped,
    config::Config,
    event::{Event, Kind, mark},
    flow::{Flow, decided},
    framing::{self, Boundary, Framing, Header, packet_type},
    loss::LossReason,
    observe::{self, Sighting, Sink, opens_flow},
    packet::{Link, Segment, tcp_flag, walk},
    seq::Seq,
};

use super::{SMP, Said, TDS, TDS_IN_SMP, TLS, smp_header, tds_header, tls_header};

const SQL_SERVER_PORT: u16 = 1433;
const REQUESTS: [u8; 4] = [
    packet_type::SQL_BATCH,
    packet_type::RPC,
    packet_type::BULK_LOAD,
    packet_type::TRANSACTION_MANAGER,
];

/// What the agent's own code says of a capture.
#[derive(Default)]
pub struct Account {
    /// What is said.
    pub said: Said,
    /// Connections in which TLS comes first.
    pub strict: BTreeSet<u32>,
    /// Ports of client and server, by connection.
    pub ends: BTreeMap<u32, [u16; 2]>,
}

/// Ports that servers of a capture listen on: 1433, and where SYNs go to.
pub fn ports(capture: &Path) -> Result<BTreeSet<u16>> {
    let mut ports = BTreeSet::from([SQL_SERVER_PORT]);
    segments(capture, |_, segment, _, _| {
        if segment.has(tcp_flag::SYN) && !segment.has(tcp_flag::ACK) {
            ports.insert(segment.destination_port());
        }
    })?;
    Ok(ports)
}

/// Reads a capture; `streams` numbers the connection of each packet.
pub fn account(capture: &Path, ports: &BTreeSet<u16>, streams: &[Option<u32>]) -> Result<Account> {
    let mut connections = BTreeMap::<u32, Connection>::new();
    segments(capture, |frame, segment, bytes, seen| {
        let Some(stream) = streams.get(frame).copied().flatten() else {
            return;
        };
        let to_server = ports.contains(&segment.destination_port());
        if !connections.contains_key(&stream) && opens_flow(segment) {
            let connection = Connection::new(segment, to_server, seen.now);
            connections.insert(stream, connection);
        }
        if let Some(connection) = connections.get_mut(&stream) {
            connection.packet(segment, &bytes, seen, frame);
        }
    })?;
    let mut account = Account::default();
    for (stream, connection) in connections {
        account.ends.insert(stream, connection.ports);
        connection.say(stream, &mut account);
    }
    Ok(account)
}

/// Walks the packets of a capture, and gives the TCP segments with the number of their packet.
fn segments(
    capture: &Path,
    mut take: impl FnMut(usize, &Segment, Snapped<'_>, Sighting),
) -> Result<()> {
    let mut reader = CaptureReader::new(File::open(capture)?)?;
    let mut frames = 0..;
    while let (Some(frame), Some(packet)) = (frames.next(), reader.next()?) {
        let Ok(layer) = network_layer(packet.link, packet.data) else {
            continue;
        };
        let bytes = Snapped {
            kept: &packet.data[layer.offset..],
            wire_len: packet.orig_len - layer.offset as u32,
        };
        if let Ok(segment) = walk(&bytes, Link::Network(layer.ethertype)) {
            let seen = Sighting {
                now: packet.time_ns,
                point: Sighted::point(&layer, packet.interface),
            };
            take(frame, &segment, bytes, seen);
        }
    }
    Ok(())
}

/// A connection, watched twice: as one whose login is open, and as one whose login is over.
struct Connection {
    open: Flow,
    decided: Flow,
    ports: [u16; 2],
    streams: [Stream; 2],
    headers: Told,
}

/// The bytes told of one direction.
#[derive(Default)]
struct Stream {
    start: Option<Seq>,
    bytes: Vec<u8>,
    /// From which position on which packet brought them.
    frames: Vec<(usize, usize)>,
}

/// Events told, each with its bytes.
#[derive(Default)]
struct Told(Vec<(Event, Vec<u8>)>);

impl Sink<Snapped<'_>> for Told {
    fn tell(&mut self, event: &Event, packet: &Snapped<'_>, at: u32) {
        let from = packet.kept.get(at as usize..).unwrap_or_default();
        let run = &from[..from.len().min(event.run_len as usize)];
        self.0.push((*event, run.to_vec()));
    }

    fn relate_parts(
        &mut self,
        told: &observe::Told<'_>,
        packet: &Snapped<'_>,
        runs: &observe::Runs,
    ) {
        let event = told.event();
        let payload = packet.kept.get(told.offset(event.seq) as usize..);
        let mut run = Vec::new();
        runs.each_byte(event.seq, payload.unwrap_or_default(), |bytes| {
            run.extend_from_slice(bytes);
        });
        self.0.push((event, run));
    }

    fn lose(&mut self, _: LossReason) {}
}

impl Connection {
    fn new(segment: &Segment, to_server: bool, now: u64) -> Self {
        let ends = [segment.source_port(), segment.destination_port()];
        Self {
            open: Flow::new(segment, to_server, now),
            decided: Flow::new(segment, to_server, now),
            ports: if to_server { ends } else { [ends[1], ends[0]] },
            streams: Default::default(),
            headers: Told::default(),
        }
    }

    fn packet(&mut self, segment: &Segment, bytes: &Snapped<'_>, seen: Sighting, frame: usize) {
        let config = Config {
            withhold_unframed: 0,
            ..Config::default()
        };
        let mut told = Told::default();
        observe::packet(
            &mut self.open,
            segment,
            bytes,
            seen,
            &config,
            || decided::NO,
            &mut told,
        );
        for (event, run) in told.0 {
            let kind = Kind::of(event.kind);
            let stream = &mut self.streams[usize::from(event.direction)];
            if matches!(kind, Some(Kind::Syn | Kind::SynAck)) {
                stream.start = Some(event.seq.add(1));
            } else if matches!(kind, Some(Kind::Segment | Kind::More)) {
                let told = event.told(&run).filter(|(_, bytes)| !bytes.is_empty());
                told.for_each(|(span, bytes)| stream.put(span.from, bytes, frame));
            }
        }
        let headers = &mut self.headers;
        observe::packet(
            &mut self.decided,
            segment,
            bytes,
            seen,
            &config,
            || decided::YES,
            headers,
        );
    }

    fn say(self, stream: u32, account: &mut Account) {
        let said = &mut account.said;
        let sides = self.ports.map(|port| (stream, port));
        for (event, run) in &self.headers.0 {
            if event.kind == Kind::Header as u8 {
                header(said, sides[usize::from(event.direction)], event, run);
            }
        }
        let [client, server] = self.streams.map(|stream| stream.units());
        if client
            .first()
            .is_some_and(|unit| unit.framing == Framing::Tls)
        {
            account.strict.insert(stream);
        }
        let is_request = |unit: &&Unit| {
            unit.framing == Framing::Smp
                || unit.framing == Framing::Tds && REQUESTS.contains(&unit.kind)
        };
        let request = client.iter().find(is_request);
        let until = request.map_or(usize::MAX, |unit| unit.frame);
        let version = messages::client_side(said, sides[0], &client);
        messages::server_side(said, sides[1], &server, until, version);
    }
}

fn header(said: &mut Said, side: (u32, u16), event: &Event, run: &[u8]) {
    let [kind, status, _, _, high, low, ..] = event.header;
    let length = event.packet_len;
    match Framing::of(event.framing) {
        Some(Framing::Tds) if event.marks & mark::FIRST != 0 => {
            let channel = u16::from_be_bytes([high, low]);
            said.add(side, TDS, tds_header(kind, status, channel, length));
        }
        Some(Framing::Tls) => said.add(side, TLS, tls_header(kind, length)),
        Some(Framing::Smp) => {
            // Its second byte is its flags.
            let flags = status;
            if let Ok(smp) = Smp::decode(run) {
                let header = smp_header(flags, smp.sid, smp.length, smp.seqnum, smp.window);
                said.add(side, SMP, header);
            }
            if let Some(&[kind, status, high, low, channel_high, channel_low, ..]) =
                run.get(framing::SMP_HEADER as usize..)
            {
                let channel = u16::from_be_bytes([channel_high, channel_low]);
                let length = u32::from(u16::from_be_bytes([high, low]));
                said.add(side, TDS_IN_SMP, tds_header(kind, status, channel, length));
            }
        }
        _ => {}
    }
}

/// A message, or a record or packet of another framing.
struct Unit {
    framing: Framing,
    kind: u8,
    body: Vec<u8>,
    /// The packet it begins in.
    frame: usize,
}

impl Stream {
    fn put(&mut self, at: Seq, run: &[u8], frame: usize) {
        let start = *self.start.get_or_insert(at);
        let Ok(at) = usize::try_from(at.since(start)) else {
            return;
        };
        // What lies between and was not told stays zero.
        if self.bytes.len() < at + run.len() {
            self.bytes.resize(at + run.len(), 0);
        }
        self.bytes[at..at + run.len()].copy_from_slice(run);
        self.frames.push((at, frame));
    }

    fn units(&self) -> Vec<Unit> {
        let mut units = Vec::new();
        let mut at = 0;
        let mut amid = false;
        while let Some(header) = self.header(at) {
            let len = header.len as usize;
            let skipped = match header.framing {
                Framing::Tds => framing::TDS_HEADER as usize,
                Framing::Tls | Framing::Smp => 0,
            };
            let end = (at + len).min(self.bytes.len());
            let body = self.bytes.get(at + skipped..end).unwrap_or_default();
            match units.last_mut() {
                Some(Unit { body: before, .. }) if amid => before.extend(body),
                _ => units.push(Unit {
                    framing: header.framing,
                    kind: header.kind,
                    body: body.to_vec(),
                    frame: self.frame(at),
                }),
            }
            amid = !header.ends_message();
            at += len;
        }
        units
    }

    fn header(&self, at: usize) -> Option<Header> {
        let known = self
            .bytes
            .len()
            .checked_sub(at)
            .filter(|known| *known > 0)?;
        let mut prefix = [0; 8];
        let known = known.min(prefix.len());
        prefix[..known].copy_from_slice(&self.bytes[at..at + known]);
        match framing::read(&prefix, known as u32) {
            Boundary::Header(header) => Some(header),
            Boundary::Incomplete { .. } | Boundary::Unknown => None,
        }
    }

    fn frame(&self, at: usize) -> usize {
        let brought = self.frames.iter().filter(|(from, _)| *from <= at);
        brought.max().map_or(0, |(_, frame)| *frame)
    }
}
