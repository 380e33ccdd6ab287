//! Federated authentication: a token at once, or on demand (MS-TDS 2.2.6.4).

use std::io;

use super::login7::{Login7, feature};
use super::packet::{Link, kind};
use super::token::Reply;

const STS_URL: &str = "https://login.example/tenant";
const SPN: &str = "https://database.example/";
const LIBRARY_ON_DEMAND: u8 = 2;

/// How a client brings its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bring {
    /// In the login packet.
    AtOnce,
    /// After it was told from where to fetch it.
    OnDemand,
}

/// How this client brings its token; none where it brings none.
pub fn asked(login: &Login7) -> Option<Bring> {
    let options = login.feature(feature::FEDAUTH)?.first().copied()?;
    Some(if options >> 1 == LIBRARY_ON_DEMAND {
        Bring::OnDemand
    } else {
        Bring::AtOnce
    })
}

/// Tells the client where to fetch a token, and takes any it brings.
pub fn fetch(link: &mut impl Link, wide: bool) -> io::Result<usize> {
    let info = Reply::new(wide).fedauth_info(STS_URL, SPN);
    link.send(kind::REPLY, &info.into_bytes())?;
    let message = link.receive()?;
    if message.kind != kind::FEDAUTH {
        return Err(super::packet::invalid(format!(
            "{:#x} where a token was expected",
            message.kind
        )));
    }
    Ok(message.payload.len())
}

/// The acknowledgement: a signed nonce for a client that sent one, which no
/// client checks, else nothing.
pub fn acknowledgement(nonce: bool) -> (u8, Vec<u8>) {
    (
        feature::FEDAUTH,
        if nonce { vec![0x5A; 64] } else { Vec::new() },
    )
}
