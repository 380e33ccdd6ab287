//! What is wanted of a login is told however it is cut; what is not, never.

use super::*;

/// What must not be told.
const MARK: u8 = 0xA5;

/// A message, and which bytes of it are wanted.
#[derive(Clone, Default)]
struct Marked {
    bytes: Vec<u8>,
    wanted: Vec<bool>,
}

impl Marked {
    fn tell(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self.wanted.resize(self.bytes.len(), true);
        self
    }

    fn hide(mut self, len: usize) -> Self {
        self.bytes.resize(self.bytes.len() + len, MARK);
        self.wanted.resize(self.bytes.len(), false);
        self
    }

    /// As the body of a packet.
    fn packet(self, kind: u8, status: u8) -> Self {
        let header = &tds(kind, status, &self.bytes)[..8];
        Self::default().tell(header).join(self)
    }

    fn join(mut self, other: Self) -> Self {
        self.bytes.extend(other.bytes);
        self.wanted.extend(other.wanted);
        self
    }

    /// In packets of at most this many bytes of body.
    fn packets(self, kind: u8, most: usize) -> Self {
        let parts = self.bytes.chunks(most).zip(self.wanted.chunks(most));
        let count = parts.len();
        let packets = parts.enumerate().map(|(index, (bytes, wanted))| {
            let part = Self {
                bytes: bytes.to_vec(),
                wanted: wanted.to_vec(),
            };
            part.packet(kind, u8::from(index + 1 == count))
        });
        packets.fold(Self::default(), Self::join)
    }
}

fn answer() -> Marked {
    let options = [
        0, 0, 26, 0, 6, 1, 0, 32, 0, 1, 2, 0, 33, 0, 1, 4, 0, 34, 0, 1, 7, 0, 35, 0, 32, 0xFF,
    ];
    let values = [16, 0, 4, 0, 0, 0, 2, 0, 0];
    let nonce = Marked::default().tell(&options).tell(&values).hide(32);
    nonce.packet(packet_type::TABULAR_RESULT, 1)
}

/// A message of a server: its numbers, then its text and names.
fn message(kind: u8, text: usize) -> Marked {
    let len = (6 + text as u16).to_le_bytes();
    let head = [kind, len[0], len[1], 0x28, 0x48, 0, 0, 1, 14];
    Marked::default().tell(&head).hide(text)
}

fn tokens() -> Marked {
    let database = [0xE3, 11, 0, 1, 3, b'd', 0, b'b', 0, b'x', 0];
    let collation = [0xE3, 8, 0, 7, 5, 9, 4, 0xD0, 0, 0x34];
    let ack = [
        0xAD, 14, 0, 1, 0x74, 0, 0, 4, 2, b'M', 0, b'S', 0, 16, 0, 0, 1,
    ];
    let transaction = Marked::default().tell(&[0xE3, 11, 0, 8]).hide(10);
    let state = Marked::default()
        .tell(&[0xE4, 9, 0, 0, 0, 1, 0, 0, 0, 1])
        .hide(4);
    Marked::default()
        .tell(&database)
        .hide(3)
        .join(message(0xAB, 60))
        .tell(&collation)
        .hide(1)
        .join(transaction)
        .tell(&ack)
        .tell(&[0xAE, 2, 32, 0, 0, 0])
        .hide(32)
        .tell(&[4, 1, 0, 0, 0])
        .hide(1)
        .tell(&[0xFF])
        .join(state)
        .tell(&[0xA9, 6, 0])
        .hide(6)
        .join(message(0xAA, 300))
        .tell(&[0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        // Nothing follows the last DONE.
        .hide(9)
}

fn reply() -> Marked {
    tokens().packet(packet_type::TABULAR_RESULT, 1)
}

/// Columns and rows; rows look like headers and tokens.
fn rows() -> Marked {
    let mut rows = Marked::default().tell(&[0x81]).hide(400);
    let header = [4, 1, 0, 30, 0, 0, 1, 0, 0xAB, 20, 0];
    for at in [40, 200, 300] {
        rows.bytes[at..at + header.len()].copy_from_slice(&header);
    }
    rows.packet(packet_type::TABULAR_RESULT, 1)
}

fn login() -> Marked {
    let login = Login7 {
        password: 12,
        new_password: 6,
        sspi: 90,
        federated: 120,
    };
    let bytes = login.packet();
    let wanted = bytes.iter().map(|byte| *byte != SECRET).collect();
    Marked { bytes, wanted }
}

fn authenticate() -> Marked {
    let bytes = tds(packet_type::SSPI, 1, &ntlm_authenticate());
    let wanted = bytes.iter().map(|byte| *byte != SECRET).collect();
    Marked { bytes, wanted }
}

/// A challenge as SQL Server gives it, alone and behind other tokens.
fn challenge(before: Marked) -> Marked {
    let mut head = b"NTLMSSP\0\x02\0\0\0\x06\0\x06\0\x38\0\0\0\x01\x02\x03\x04".to_vec();
    let names = [6, 0, 6, 0, 62, 0, 0, 0, 6, 1, 0, 0, 0, 0, 0, 15];
    let tail = [&[0; 8][..], &names[..8]].concat();
    let token = Marked::default().tell(&head).hide(8).tell(&tail);
    let token = token.hide(8).tell(b"L\0A\0B\0I\0N\0F\0");
    head.clear();
    let len = (token.bytes.len() as u16).to_le_bytes();
    let token = Marked::default().tell(&[0xED]).tell(&len).join(token);
    before.join(token).packet(packet_type::TABULAR_RESULT, 1)
}

/// What was told of each position of a stream.
fn told(wire: &Wire, direction: Direction, len: usize) -> Vec<bool> {
    let mut told = vec![false; len];
    for (event, run) in &wire.heard.told {
        if event.direction == direction as u8 {
            for (span, bytes) in event.told(run) {
                let at = span.from.since(position(direction, 0)).cast_unsigned() as usize;
                told[at..at + bytes.len()].fill(true);
            }
        }
    }
    told
}

fn streams() -> Vec<(Direction, &'static str, Marked)> {
    let client = Direction::ToServer;
    let server = Direction::ToClient;
    let all = tokens();
    vec![
        (client, "login", login()),
        (client, "response", authenticate()),
        (server, "answer", answer()),
        (server, "reply", answer().join(reply())),
        (
            server,
            "packets",
            answer().join(all.packets(packet_type::TABULAR_RESULT, 700)),
        ),
        (server, "rows", answer().join(rows()).join(rows())),
        (server, "challenge", challenge(Marked::default())),
        (server, "challenge behind", challenge(message(0xAB, 40))),
    ]
}

#[test]
fn in_one_piece_exactly_what_is_wanted_is_told() {
    for (direction, name, marked) in streams() {
        let mut wire = Wire::new();
        wire.send(direction, 0, &marked.bytes);
        let told = told(&wire, direction, marked.bytes.len());
        let wrong = (0..told.len()).find(|at| told[*at] != marked.wanted[*at]);
        assert_eq!(wrong, None, "{name}");
    }
}

#[test]
fn replies_are_told_alike_however_they_are_cut() {
    for (direction, name, marked) in streams() {
        if direction == Direction::ToServer || name.starts_with("challenge") {
            continue;
        }
        for cut in cuts(marked.bytes.len(), 11) {
            let mut wire = Wire::new();
            for range in cut.clone() {
                wire.send(direction, range.start, &marked.bytes[range]);
            }
            let told = told(&wire, direction, marked.bytes.len());
            let wrong = (0..told.len()).find(|at| told[*at] != marked.wanted[*at]);
            assert_eq!(wrong, None, "{name}, {cut:?}");
        }
        let mut wire = Wire::new();
        for (index, two) in marked.bytes.chunks(2).enumerate() {
            wire.send(direction, 2 * index, two);
        }
        let told = told(&wire, direction, marked.bytes.len());
        let wrong = (0..told.len()).find(|at| told[*at] != marked.wanted[*at]);
        assert_eq!(wrong, None, "{name}, by two bytes");
    }
}

#[test]
fn nothing_else_is_told_however_segments_are_cut_ordered_and_doubled() {
    let mut seed = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    for (direction, name, marked) in streams() {
        let len = marked.bytes.len();
        for _ in 0..4000 {
            let mut pieces = Vec::new();
            for _ in 0..2 + random(7) {
                let from = random(len);
                pieces.push(from..(from + 1 + random(len)).min(len));
            }
            let mut wire = Wire::new();
            for piece in &pieces {
                wire.send(direction, piece.start, &marked.bytes[piece.clone()]);
            }
            for (at, told) in told(&wire, direction, len).into_iter().enumerate() {
                // A guess takes eight bytes of a row for a header.
                let guess = name == "rows" && marked.bytes[at] != MARK;
                assert!(
                    !told || marked.wanted[at] || guess,
                    "{name} {at} {pieces:?}"
                );
            }
        }
    }
}

#[test]
fn of_a_connection_joined_late_headers_alone_are_told() {
    for (direction, name, marked) in streams() {
        let data = segment(direction, tcp_flag::ACK, position(direction, 0), 1);
        let mut wire = Wire::new();
        wire.flow = Flow::new(&data, direction == Direction::ToServer, 1);
        wire.heard.told.clear();
        wire.heard.lost.clear();
        wire.send(direction, 0, &marked.bytes);
        let told = told(&wire, direction, marked.bytes.len());
        let count = told.iter().filter(|told| **told).count();
        assert_eq!(count % 8, 0, "{name}");
        assert!(count <= 8 * 4, "{name}: {count}");
        let mut wire = Wire::new();
        wire.flow = Flow::new(&data, direction == Direction::ToServer, 1);
        wire.heard.told.clear();
        wire.send(direction, 20, &marked.bytes[20..]);
        assert!(!wire.bytes().contains(&MARK), "{name}");
    }
}

#[test]
fn replay_is_told_what_is_known_later_too() {
    let hello = Marked::default().tell(&prelogin());
    let attention = Marked::default().tell(&tds(packet_type::ATTENTION, 1, &[]));
    let client = (Direction::ToServer, "client", hello.join(attention));
    for (direction, name, marked) in streams().into_iter().chain([client]) {
        if matches!(name, "login" | "response") || name.starts_with("challenge") {
            continue;
        }
        for cut in cuts(marked.bytes.len(), 23) {
            for order in ORDERS {
                let mut wire = Wire::new();
                wire.config.withhold_unframed = 0;
                for range in order.map(|index| cut[index].clone()) {
                    if !range.is_empty() {
                        wire.send(direction, range.start, &marked.bytes[range]);
                    }
                }
                let told = told(&wire, direction, marked.bytes.len());
                let wrong = (0..told.len()).find(|at| marked.wanted[*at] && !told[*at]);
                assert_eq!(wrong, None, "{name}, {cut:?} {order:?}");
            }
        }
    }
}
