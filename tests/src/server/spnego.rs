//! SPNEGO as a server needs it to choose NTLM (RFC 4178 §4.2.2).

/// 1.3.6.1.4.1.311.2.2.10.
const NTLMSSP: [u8; 12] = [
    0x06, 10, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0A,
];
/// `NegotiationToken` with a `NegTokenInit`, and with a `NegTokenResp`.
const INITIAL: u8 = 0x60;
const RESPONSE: u8 = 0xA1;
const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 0x04;
/// `negState`: accept-incomplete.
const INCOMPLETE: [u8; 3] = [0x0A, 1, 1];

/// Whether a token is SPNEGO's.
pub fn is_spnego(token: &[u8]) -> bool {
    matches!(token.first(), Some(&INITIAL | &RESPONSE))
}

/// Whether a client's first token offers NTLM, perhaps after others.
pub fn offers_ntlm(token: &[u8]) -> bool {
    is_spnego(token) && token.windows(NTLMSSP.len()).any(|window| window == NTLMSSP)
}

/// Chooses NTLM of what was offered.
pub fn choose_ntlm() -> Vec<u8> {
    response(&[(0, INCOMPLETE.to_vec()), (1, NTLMSSP.to_vec())])
}

/// An NTLM message of the server.
pub fn wrap(message: &[u8]) -> Vec<u8> {
    response(&[(0, INCOMPLETE.to_vec()), (2, der(OCTETS, message))])
}

fn response(fields: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let fields = fields
        .iter()
        .map(|(number, value)| der(0xA0 + number, value));
    der(
        RESPONSE,
        &der(SEQUENCE, &fields.collect::<Vec<_>>().concat()),
    )
}

/// An element of less than 64 KiB.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = (content.len() as u16).to_be_bytes();
    let length = match (high, low) {
        (0, ..0x80) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag], &length[..], content].concat()
}
