//! The tokens of a login's reply (MS-TDS §2.2.7), as far as they decide.

const ROUTING: [u8; 2] = [20, 21];

/// What a reply comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The login has its outcome.
    Decided(&'static str),
    /// The client has to say more.
    GoOn,
    /// A token of SSPI's that may be the last: then the server goes on by itself.
    MayGoOn,
    /// Neither.
    Nothing,
}

/// What a login's reply comes to: routing before LOGINACK before ERROR before what goes on.
pub(super) fn reply(body: &[u8]) -> Reply {
    let (mut acknowledged, mut routed, mut error) = (false, false, false);
    let mut goes_on = Reply::Nothing;
    let mut at = 0;
    while let Some(token) = body.get(at).copied() {
        let length = le16(body, at + 1).map(usize::from).unwrap_or_default();
        match token {
            0xAD => acknowledged = true,
            0xAA => error = true,
            0xEE => goes_on = Reply::GoOn,
            0xED if is_challenge(&body[at..]) => goes_on = Reply::GoOn,
            0xED => goes_on = Reply::MayGoOn,
            0xE3 => routed |= body.get(at + 3).is_some_and(|kind| ROUTING.contains(kind)),
            _ => {}
        }
        at += match token {
            0xFD..=0xFF => 13,
            0xE4 | 0xEE => 5 + le16(body, at + 1).map(usize::from).unwrap_or_default(),
            0xAE => features(&body[at..]),
            0x79 => 5,
            _ => 3 + length,
        };
    }
    if routed {
        Reply::Decided("redirected")
    } else if acknowledged {
        Reply::Decided("success")
    } else if error {
        Reply::Decided("failed")
    } else {
        goes_on
    }
}

/// Whether a token is NTLM's second message, bare or inside SPNEGO.
fn is_challenge(token: &[u8]) -> bool {
    token.windows(9).any(|window| window == b"NTLMSSP\0\x02")
}

/// Bytes of the acknowledged features: each its number, its length and so many bytes, then 0xFF.
fn features(token: &[u8]) -> usize {
    let mut at = 1;
    while token.get(at).is_some_and(|number| *number != 0xFF) {
        let length = token.get(at + 1..at + 5).and_then(<[u8]>::first_chunk);
        at += 5 + length.map_or(token.len(), |length| u32::from_le_bytes(*length) as usize);
    }
    at + 1
}

fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
