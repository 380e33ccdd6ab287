//! TLS 1.2 flights of the right form and of a chosen length (RFC 5246, RFC 5280).

const HANDSHAKE: u8 = 22;
const CHANGE_CIPHER_SPEC: u8 = 20;
const APPLICATION_DATA: u8 = 23;

const RSA_WITH_AES_128_GCM_SHA256: [u8; 2] = [0x00, 0x9C];
const ECDHE_RSA_WITH_AES_128_GCM_SHA256: [u8; 2] = [0xC0, 0x2F];
/// A Finished message under AES-GCM: explicit nonce 8, message 16, tag 16.
const SEALED_FINISHED: usize = 40;

const SHA256_WITH_RSA: &[u8] = &[
    0x30, 0x0D, 6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 0x0B, 5, 0,
];
const RSA_ENCRYPTION: &[u8] = &[
    0x30, 0x0D, 6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1, 5, 0,
];
const COMMON_NAME: &[u8] = &[6, 3, 0x55, 4, 3];
/// Netscape's certificate comment, which takes up whatever is left.
const COMMENT: &[u8] = &[6, 9, 0x60, 0x86, 0x48, 1, 0x86, 0xF8, 0x42, 1, 0x0D];

/// How a sequence's TLS session is set up.
#[derive(Clone, Copy)]
pub(super) struct Session {
    /// With a `ServerKeyExchange` message, as published for two of the sequences.
    pub(super) ephemeral: bool,
    pub(super) key_bytes: usize,
    pub(super) server_name: &'static str,
}

impl Session {
    pub(super) fn client_hello(self) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend(noise(1, 32));
        body.push(0);
        let ciphers = [
            ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            [0xC0, 0x30],
            [0xC0, 0x27],
            [0xC0, 0x14],
            [0x00, 0x9D],
            RSA_WITH_AES_128_GCM_SHA256,
            [0x00, 0x3C],
            [0x00, 0x2F],
        ];
        body.extend(counted16(&ciphers.concat()));
        body.extend([1, 0]);
        let host = counted16(&[&[0], &counted16(self.server_name.as_bytes())[..]].concat());
        let extensions = [
            extension(0, &host),
            extension(10, &[0, 6, 0, 29, 0, 23, 0, 24]),
            extension(11, &[1, 0]),
            extension(13, &[0, 8, 4, 1, 5, 1, 4, 3, 2, 1]),
            extension(23, &[]),
            extension(0xFF01, &[0]),
        ];
        body.extend(counted16(&extensions.concat()));
        record(HANDSHAKE, &message(1, &body))
    }

    /// `ServerHello`, `Certificate`, perhaps `ServerKeyExchange`, `ServerHelloDone` in one record of
    /// `length` bytes, of which the certificate takes what the others leave.
    pub(super) fn server_flight(self, length: usize) -> Vec<u8> {
        let cipher = if self.ephemeral {
            ECDHE_RSA_WITH_AES_128_GCM_SHA256
        } else {
            RSA_WITH_AES_128_GCM_SHA256
        };
        let mut hello = vec![3, 3];
        hello.extend(noise(2, 32));
        hello.push(32);
        hello.extend(noise(3, 32));
        hello.extend(cipher);
        hello.push(0);
        hello.extend(counted16(&extension(0xFF01, &[0])));
        let hello = message(2, &hello);
        let exchange = if self.ephemeral {
            // Named curve P-256, the point, and an RSA signature over SHA-256.
            let mut body = vec![3, 0, 23, 65, 4];
            body.extend(noise(4, 64));
            body.extend([4, 1]);
            body.extend(counted16(&noise(5, self.key_bytes)));
            message(12, &body)
        } else {
            Vec::new()
        };
        let done = message(14, &[]);
        // Record header 5, message header 4, and the lengths of the list and of its only member.
        let others = 5 + hello.len() + exchange.len() + done.len() + 4 + 3 + 3;
        let certificate = self.certificate(length - others);
        let list = counted24(&counted24(&certificate));
        record(
            HANDSHAKE,
            &[hello, message(11, &list), exchange, done].concat(),
        )
    }

    pub(super) fn client_key_exchange_and_finished(self) -> Vec<u8> {
        let body = if self.ephemeral {
            [&[65, 4], &noise(6, 64)[..]].concat()
        } else {
            counted16(&noise(6, self.key_bytes))
        };
        let exchange = record(HANDSHAKE, &message(16, &body));
        [exchange, finished(7)].concat()
    }

    fn certificate(self, length: usize) -> Vec<u8> {
        let candidates = (8..=16).flat_map(|serial| (0..length).map(move |rest| (serial, rest)));
        candidates
            .map(|(serial, rest)| self.certificate_of(serial, rest))
            .find(|certificate| certificate.len() == length)
            .unwrap_or_else(|| panic!("no certificate of {length} bytes"))
    }

    fn certificate_of(self, serial: usize, comment: usize) -> Vec<u8> {
        let name = [COMMON_NAME, &der(0x0C, self.server_name.as_bytes())].concat();
        let name = der(0x30, &der(0x31, &der(0x30, &name)));
        let validity = [der(0x17, b"190101000000Z"), der(0x17, b"490101000000Z")].concat();
        let mut modulus = noise(8, self.key_bytes);
        modulus[0] = 0xC1;
        modulus.insert(0, 0);
        let key = [der(2, &modulus), vec![2, 3, 1, 0, 1]].concat();
        let key = [&[0], &der(0x30, &key)[..]].concat();
        let key = [RSA_ENCRYPTION, &der(3, &key)].concat();
        let mut serial = noise(9, serial);
        serial[0] = 0x11;
        let comment = der(4, &der(0x16, &vec![b'.'; comment]));
        let extensions = der(0x30, &der(0x30, &[COMMENT, &comment].concat()));
        let to_be_signed = [
            vec![0xA0, 3, 2, 1, 2],
            der(2, &serial),
            SHA256_WITH_RSA.to_vec(),
            name.clone(),
            der(0x30, &validity),
            name,
            der(0x30, &key),
            der(0xA3, &extensions),
        ];
        let signature = [&[0], &noise(10, self.key_bytes)[..]].concat();
        let parts = [
            der(0x30, &to_be_signed.concat()),
            SHA256_WITH_RSA.to_vec(),
            der(3, &signature),
        ];
        der(0x30, &parts.concat())
    }
}

/// `ChangeCipherSpec` and a sealed `Finished`.
pub(super) fn finished(seed: u8) -> Vec<u8> {
    let finished = record(HANDSHAKE, &noise(seed, SEALED_FINISHED));
    [record(CHANGE_CIPHER_SPEC, &[1]), finished].concat()
}

/// One application data record of `length` bytes in all.
pub(super) fn sealed(length: usize) -> Vec<u8> {
    record(APPLICATION_DATA, &noise(11, length - 5))
}

/// Bytes without meaning, the same every time.
pub(super) fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut state = u64::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3], &counted16(body)[..]].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &counted24(body)[..]].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes(), &counted16(body)[..]].concat()
}

fn counted16(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u16).to_be_bytes(), body].concat()
}

fn counted24(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes()[1..], body].concat()
}

/// A DER element.
pub(super) fn der(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u16;
    let header = match length {
        0..0x80 => vec![tag, length as u8],
        0x80..0x100 => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [&header, body].concat()
}
