//! TCP segments in IPv4 in Ethernet in pcap.

use anyhow::{Result, ensure};

use super::{
    EPOCH_S,
    frames::{Frame, Scenario},
};

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

const TCP: u8 = 6;
/// What Windows starts with.
const TTL: u8 = 128;
const WINDOW: u16 = 8192;
/// Maximum segment size 1460, window scale 8, SACK permitted.
const SYN_OPTIONS: [u8; 12] = [2, 4, 5, 0xB4, 1, 3, 3, 8, 1, 1, 4, 2];
/// For the sequence in which none was printed.
const INITIAL_SEQS: [u32; 2] = [1_000_000, 4_294_966_000];

pub(super) struct Segment {
    pub(super) time_ns: u64,
    pub(super) from_client: bool,
    pub(super) flags: u8,
    pub(super) payload: Vec<u8>,
    pub(super) window: Option<u16>,
}

impl Segment {
    pub(super) fn data(time_ns: u64, from_client: bool, payload: Vec<u8>) -> Self {
        Self {
            time_ns,
            from_client,
            flags: PSH | ACK,
            payload,
            window: None,
        }
    }
}

/// A connection being written down.
pub(super) struct Trace {
    pcap: Vec<u8>,
    client: Host,
    server: Host,
}

struct Host {
    address: [u8; 4],
    port: u16,
    mac: [u8; 6],
    next_seq: u32,
    packets: u16,
    offloads: bool,
}

impl Trace {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let host = |client: bool| {
            let (address, port, initial, last) = if client {
                (scenario.client, scenario.ports.0, INITIAL_SEQS[0], 1)
            } else {
                (scenario.server, scenario.ports.1, INITIAL_SEQS[1], 2)
            };
            let mut own = scenario
                .frames
                .iter()
                .filter(|frame| scenario.is_from_client(frame) == client);
            Host {
                address: address.octets(),
                port,
                mac: [2, 0, 0, 0, 0, last],
                next_seq: own.find_map(|frame| frame.seq).unwrap_or(initial),
                packets: 0,
                offloads: scenario.offloads(client),
            }
        };
        Self {
            pcap: pcap_header(),
            client: host(true),
            server: host(false),
        }
    }

    /// Adds a segment after checking it against what was printed of it.
    pub(super) fn push_published(&mut self, segment: &Segment, frame: &Frame) -> Result<()> {
        let (sender, receiver) = if segment.from_client {
            (&self.client, &self.server)
        } else {
            (&self.server, &self.client)
        };
        for (name, printed, built) in [
            ("sequence", frame.seq, sender.next_seq),
            ("acknowledgement", frame.ack, receiver.next_seq),
        ] {
            let is_first = segment.flags & ACK == 0;
            let agrees = printed.is_none_or(|printed| printed == built) || is_first;
            let printed = printed.unwrap_or_default();
            ensure!(
                agrees,
                "{name} number {built}, but {printed} was printed: {} bytes too few",
                printed.wrapping_sub(built).cast_signed(),
            );
        }
        let length = segment.payload.len();
        let agrees = frame.payload_len.is_none_or(|printed| printed == length);
        ensure!(
            agrees,
            "{length} bytes of payload, but {:?}",
            frame.payload_len
        );
        self.push(segment);
        Ok(())
    }

    pub(super) fn push(&mut self, segment: &Segment) {
        let (sender, receiver) = if segment.from_client {
            (&mut self.client, &self.server)
        } else {
            (&mut self.server, &self.client)
        };
        let ethernet = [&receiver.mac[..], &sender.mac, &[8, 0]].concat();
        let tcp = tcp(sender, receiver, segment);
        let ipv4 = ipv4(sender, receiver, tcp.len());
        let frame = [ethernet, ipv4, tcp].concat();

        let advance = segment.payload.len() as u32
            + u32::from(segment.flags & SYN != 0)
            + u32::from(segment.flags & FIN != 0);
        sender.next_seq = sender.next_seq.wrapping_add(advance);
        sender.packets += 1;

        let seconds = EPOCH_S + segment.time_ns / 1_000_000_000;
        let length = frame.len() as u32;
        for word in [
            seconds as u32,
            (segment.time_ns % 1_000_000_000) as u32,
            length,
            length,
        ] {
            self.pcap.extend(word.to_le_bytes());
        }
        self.pcap.extend(frame);
    }

    pub(super) fn into_pcap(self) -> Vec<u8> {
        self.pcap
    }
}

/// Nanoseconds, version 2.4, Ethernet.
fn pcap_header() -> Vec<u8> {
    let words: [u32; 6] = [0xA1B2_3C4D, 0x0004_0002, 0, 0, 65_535, 1];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn tcp(sender: &Host, receiver: &Host, segment: &Segment) -> Vec<u8> {
    let options: &[u8] = if segment.flags & SYN == 0 {
        &[]
    } else {
        &SYN_OPTIONS
    };
    let ack = if segment.flags & ACK == 0 {
        0
    } else {
        receiver.next_seq
    };
    let words = (20 + options.len()) as u8 / 4;
    let mut tcp = [sender.port.to_be_bytes(), receiver.port.to_be_bytes()].concat();
    tcp.extend(sender.next_seq.to_be_bytes());
    tcp.extend(ack.to_be_bytes());
    tcp.extend([words << 4, segment.flags]);
    tcp.extend(segment.window.unwrap_or(WINDOW).to_be_bytes());
    // Checksum and urgent pointer.
    tcp.extend([0; 4]);
    tcp.extend(options);
    tcp.extend(&segment.payload);

    let mut pseudo = [sender.address, receiver.address].concat();
    pseudo.extend([0, TCP]);
    pseudo.extend((tcp.len() as u16).to_be_bytes());
    // A card is left the sum of the pseudo-header to complete.
    let checksum = if sender.offloads {
        !checksum(&pseudo)
    } else {
        checksum(&[&pseudo[..], &tcp].concat())
    };
    tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
    tcp
}

fn ipv4(sender: &Host, receiver: &Host, payload_len: usize) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend((20 + payload_len as u16).to_be_bytes());
    header.extend((sender.packets + 1).to_be_bytes());
    header.extend([0x40, 0, TTL, TCP, 0, 0]);
    header.extend(sender.address);
    header.extend(receiver.address);
    let checksum = checksum(&header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header
}

fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}
