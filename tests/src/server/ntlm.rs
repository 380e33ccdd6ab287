//! NTLM: a challenge, and the check of the answer (MS-NLMP).

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use openssl::hash::MessageDigest;
use openssl::lib_ctx::LibCtx;
use openssl::md::Md;
use openssl::md_ctx::MdCtx;
use openssl::pkey::PKey;
use openssl::provider::Provider;
use openssl::sign::Signer;

use super::login7::{slice, u16_at, u32_at, utf16};
use super::packet::invalid;
use super::token::utf16le;

const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";
const CHALLENGE_HEADER_LEN: usize = 56;
/// Unicode, sign, seal, NTLM, always sign, target type domain, extended
/// session security, target info, version, 128 bit, key exchange, 56 bit.
const CHALLENGE_FLAGS: u32 = 0xE289_8215;
const NT_RESPONSE: usize = 20;
const DOMAIN: usize = 28;
const USER: usize = 36;
const PROOF_LEN: usize = 16;
/// Seconds from 1601 to 1970.
const FILETIME_EPOCH: u64 = 11_644_473_600;

/// `NetBIOS` name of the domain the server says it is in.
pub const DOMAIN_NAME: &str = "LAB";

/// Whether a token is NTLM's or holds NTLM's.
pub fn is_ntlm(token: &[u8]) -> bool {
    find(token).is_some()
}

/// The server's challenge message (MS-NLMP 2.2.1.2).
pub fn challenge(nonce: [u8; 8]) -> Vec<u8> {
    let target = utf16le(DOMAIN_NAME);
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let filetime = (FILETIME_EPOCH * 10_000_000) + (since_1970.as_nanos() / 100) as u64;
    let mut info = Vec::new();
    for (id, value) in [
        (2_u16, target.clone()),
        (1, utf16le("SCENARIO")),
        (4, utf16le("lab.test")),
        (3, utf16le("scenario.lab.test")),
        (7, filetime.to_le_bytes().to_vec()),
        (0, Vec::new()),
    ] {
        info.extend(id.to_le_bytes());
        info.extend((value.len() as u16).to_le_bytes());
        info.extend(value);
    }
    let mut message = SIGNATURE.to_vec();
    message.extend(2_u32.to_le_bytes());
    message.extend(buffer(target.len(), CHALLENGE_HEADER_LEN));
    message.extend(CHALLENGE_FLAGS.to_le_bytes());
    message.extend(nonce);
    message.extend([0; 8]);
    message.extend(buffer(info.len(), CHALLENGE_HEADER_LEN + target.len()));
    message.extend([10, 0, 0x61, 0x4A, 0, 0, 0, 15]);
    message.extend(target);
    message.extend(info);
    message
}

/// What the client's answer to a challenge says.
pub struct Authenticate {
    /// Domain of the user.
    pub domain: String,
    /// Name of the user.
    pub user: String,
    nt_response: Vec<u8>,
}

impl Authenticate {
    /// Reads an authenticate message, which SPNEGO may be around.
    pub fn parse(token: &[u8]) -> io::Result<Self> {
        let message = find(token).ok_or_else(|| invalid("no NTLM message in the token"))?;
        if u32_at(message, 8)? != 3 {
            return Err(invalid("not an authenticate message"));
        }
        Ok(Self {
            domain: utf16(field(message, DOMAIN)?),
            user: utf16(field(message, USER)?),
            nt_response: field(message, NT_RESPONSE)?.to_vec(),
        })
    }

    /// Which version of NTLM the response is of.
    pub fn version(&self) -> u8 {
        if self.nt_response.len() > 24 { 2 } else { 1 }
    }

    /// Whether the response is that of `password` to `nonce`. Nothing is said
    /// of NTLM 1.
    pub fn proves(&self, password: &str, nonce: [u8; 8]) -> Result<Option<bool>> {
        let Some((proof, blob)) = self.nt_response.split_at_checked(PROOF_LEN) else {
            return Ok(None);
        };
        if self.version() == 1 {
            return Ok(None);
        }
        let identity = self.user.to_uppercase() + &self.domain;
        let key = hmac_md5(&nt_hash(password)?, &utf16le(&identity))?;
        Ok(Some(hmac_md5(&key, &[&nonce, blob].concat())? == proof))
    }
}

fn field(message: &[u8], at: usize) -> io::Result<&[u8]> {
    slice(
        message,
        u32_at(message, at + 4)? as usize,
        u16_at(message, at)?.into(),
    )
}

fn find(token: &[u8]) -> Option<&[u8]> {
    let start = token
        .windows(SIGNATURE.len())
        .position(|window| window == SIGNATURE)?;
    Some(&token[start..])
}

fn buffer(length: usize, offset: usize) -> Vec<u8> {
    let length = (length as u16).to_le_bytes();
    [&length[..], &length[..], &(offset as u32).to_le_bytes()].concat()
}

/// MD4 of the password, from OpenSSL's provider of what is out of use, in a
/// context of its own so that nothing else sees it.
fn nt_hash(password: &str) -> Result<Vec<u8>> {
    let library = LibCtx::new()?;
    let _legacy = Provider::load(Some(&library), "legacy")?;
    let md4 = Md::fetch(Some(&library), "MD4", None)?;
    let mut context = MdCtx::new()?;
    context.digest_init(&md4)?;
    context.digest_update(&utf16le(password))?;
    let mut hash = vec![0; 16];
    context.digest_final(&mut hash)?;
    Ok(hash)
}

fn hmac_md5(key: &[u8], data: &[u8]) -> Result<Vec<u8>> {
    Ok(Signer::new(MessageDigest::md5(), &*PKey::hmac(key)?)?.sign_oneshot_to_vec(data)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_of_the_specification_is_proved_by_its_password() {
        // MS-NLMP 4.2.4: user "User", domain "Domain", password "Password".
        let blob = [
            &[1, 1, 0, 0, 0, 0, 0, 0][..],
            &[0; 8],
            &[0xAA; 8],
            &[0; 4],
            &[2, 0, 12, 0],
            &utf16le("Domain"),
            &[1, 0, 12, 0],
            &utf16le("Server"),
            &[0; 8],
        ]
        .concat();
        let proof = [
            0x68, 0xcd, 0x0a, 0xb8, 0x51, 0xe5, 0x1c, 0x96, 0xaa, 0xbc, 0x92, 0x7b, 0xeb, 0xef,
            0x6a, 0x1c,
        ];
        let answer = Authenticate {
            domain: "Domain".to_owned(),
            user: "User".to_owned(),
            nt_response: [&proof[..], &blob].concat(),
        };
        let nonce = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
        assert_eq!(answer.proves("Password", nonce).unwrap(), Some(true));
        assert_eq!(answer.proves("password", nonce).unwrap(), Some(false));
    }
}
