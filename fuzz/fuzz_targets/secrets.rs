//! NTLM responses of every shape, bare and in SPNEGO, in packets of either type that clients send
//! them in: however much of the packet is at hand, nothing of the responses and the key is told.

#![no_main]

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use tracer_ebpf::{
    seq::Seq,
    wanted::{PARTS, Wanted, field, is_token},
};

const FIXED: usize = 72;
/// Of one part of the message.
const MAX_LEN: u16 = 1024;

#[derive(Arbitrary, Debug)]
struct Input {
    /// In a packet of LOGIN7's type.
    as_login: bool,
    /// In SPNEGO: with its state, with its mechanism.
    wrapped: Option<(bool, bool)>,
    /// Of the names, LM's and NT's response, and the key, in bytes.
    lengths: [u16; 4],
    flags: [u8; 12],
    readable: u16,
}

/// MS-NLMP §2.2.1.3: the names, then what is secret; domain, user and workstation are one.
fn authenticate(input: &Input) -> Vec<u8> {
    let [names, lm, nt, key] = input.lengths.map(|length| usize::from(length % MAX_LEN));
    let name = field(names, FIXED);
    let secrets = FIXED + names;
    let fields = [
        field(lm, secrets),
        field(nt, secrets + lm),
        name,
        name,
        name,
        field(key, secrets + lm + nt),
    ];
    let mut message = b"NTLMSSP\0\x03\0\0\0".to_vec();
    message.extend(fields.as_flattened());
    message.extend(input.flags);
    message.resize(secrets + lm + nt + key, 0);
    message
}

fn field(length: usize, offset: usize) -> [u8; 8] {
    let [low, high, ..] = length.to_le_bytes();
    let [a, b, ..] = offset.to_le_bytes();
    [low, high, low, high, a, b, 0, 0]
}

/// RFC 4178 §4.2.2.
fn response(token: &[u8], state: bool, mechanism: bool) -> Vec<u8> {
    const NTLMSSP: [u8; 12] = [6, 10, 0x2B, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 10];
    let mut fields = Vec::new();
    if state {
        fields.extend(der(0xA0, &[10, 1, 1]));
    }
    if mechanism {
        fields.extend(der(0xA1, &NTLMSSP));
    }
    fields.extend(der(0xA2, &der(4, token)));
    der(0xA1, &der(0x30, &fields))
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = (content.len() as u16).to_be_bytes();
    let length = match (high, low) {
        (0, ..0x80) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag], &length[..], content].concat()
}

fuzz_target!(|input: Input| {
    let token = authenticate(&input);
    let body = match input.wrapped {
        None => token.clone(),
        Some((state, mechanism)) => response(&token, state, mechanism),
    };
    let kind = if input.as_login {
        field::LOGIN7
    } else {
        field::SSPI
    };
    let (header, whole) = (8, body.len() as u32);
    let packet = [&[0; 8], &body[..]].concat();
    let readable = u32::from(input.readable).min(whole);
    let packet = &packet[..(header + readable) as usize];
    let mut wanted = Wanted::default();
    wanted.open(Seq(0), header, whole, kind);
    if input.as_login && !is_token(packet, header) {
        wanted.login7(packet, header, readable, whole);
    } else {
        wanted.sspi(packet, header, readable, whole);
    }
    let names = usize::from(input.lengths[0] % MAX_LEN);
    let secrets = header as usize + body.len() - token.len() + FIXED + names;
    for at in secrets..header as usize + body.len() {
        let at = Seq(at as u32);
        let mut spans = (0..PARTS).map(|index| wanted.span(index));
        assert!(
            !spans.any(|span| !at.before(span.from) && at.before(span.to)),
            "{at:?} is told: {wanted:?}"
        );
    }
});
