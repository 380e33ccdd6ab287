//! Packets of one connection, made up.

pub(crate) const CLIENT: u16 = 40_000;
pub(crate) const SERVER: u16 = 1433;
pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;

/// The network below the segment.
#[derive(Clone, Copy)]
pub(crate) enum Below {
    V4,
    V4Options,
    Vlan,
    QinQ,
    V6,
    V6Extensions,
}

/// A segment from the client (or to it), as a packet.
pub(crate) fn packet(
    below: Below,
    from_client: bool,
    flags: u8,
    seq: u32,
    payload: &[u8],
) -> Vec<u8> {
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

pub(crate) fn tds(kind: u8, status: u8, body: &[u8]) -> Vec<u8> {
    let len = ((body.len() + 8) as u16).to_be_bytes();
    let mut bytes = vec![kind, status, len[0], len[1], 0, 0, 1, 0];
    bytes.extend(body);
    bytes
}

pub(crate) const PASSWORD: &[u8] = b"p\0a\0s\0s\0w\0o\0r\0d\0";

pub(crate) fn login7() -> Vec<u8> {
    let mut body = vec![0; 94];
    body[44..48].copy_from_slice(&[94, 0, 8, 0]);
    body.extend(PASSWORD);
    body.extend(b"t\0a\0i\0l\0");
    tds(0x10, 1, &body)
}

pub(crate) fn handshake(below: Below) -> Vec<Vec<u8>> {
    vec![
        packet(below, true, SYN, 1000, &[]),
        packet(below, false, SYN | ACK, 5000, &[]),
        packet(below, true, ACK, 1001, &[]),
    ]
}
