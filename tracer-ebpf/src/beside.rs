//! Services beside SQL Server and name servers that a login may wait for, by their ports.

use crate::{
    bytes::Bytes,
    first::{CLIENT_HELLO, extension},
    framing::content_type,
};

/// Ports of services, by TCP; those of Kerberos and LDAP by UDP too.
pub mod port {
    /// Name resolution, where a datagram is too small for it.
    pub const DNS: u16 = 53;
    /// Hosts of revocation lists, and where Azure gives a machine its tokens (169.254.169.254).
    pub const HTTP: u16 = 80;
    /// Kerberos (RFC 4120).
    pub const KERBEROS: u16 = 88;
    /// The endpoint mapper of Windows' RPC, by which a domain controller is reached.
    pub const RPC: u16 = 135;
    /// LDAP (RFC 4511); of a domain controller by UDP too (MS-ADTS section 6.3.3).
    pub const LDAP: u16 = 389;
    /// Hosts of tokens.
    pub const HTTPS: u16 = 443;
    /// SMB, by which a domain controller is reached.
    pub const SMB: u16 = 445;
    /// LDAP inside TLS.
    pub const LDAPS: u16 = 636;
    /// LDAP of a whole forest.
    pub const CATALOG: u16 = 3268;
    /// The same inside TLS.
    pub const CATALOG_TLS: u16 = 3269;
    /// Where Azure Arc gives a machine its tokens, on the machine itself.
    pub const ARC: u16 = 40342;
}

/// Whether connections to a port are looked at.
#[inline(always)]
pub const fn is_service(at: u16) -> bool {
    matches!(
        at,
        port::DNS
            | port::HTTP
            | port::KERBEROS
            | port::RPC
            | port::LDAP
            | port::HTTPS
            | port::SMB
            | port::LDAPS
            | port::CATALOG
            | port::CATALOG_TLS
            | port::ARC
    )
}

/// Whether datagrams to a port are, those of [`crate::datagram::service`] aside.
#[inline(always)]
pub const fn is_datagram_service(at: u16) -> bool {
    at == port::KERBEROS || at == port::LDAP
}

/// How a connection to a service is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// All of it, up to the answer: few speak this.
    Whole,
    /// Only where it is late, refused or not accepted: any program may speak this.
    Trouble,
    /// The same until it asks for a host of tokens by name, and all of it from there on.
    Tokens,
    /// All of it, and what is said.
    Names,
}

impl Care {
    /// The care that a port gets; `is_imds` where the address is the one that gives a machine its tokens.
    #[inline(always)]
    pub const fn of(at: u16, is_imds: bool) -> Self {
        match at {
            port::DNS => Self::Names,
            port::HTTPS => Self::Tokens,
            port::HTTP if !is_imds => Self::Trouble,
            port::SMB => Self::Trouble,
            _ => Self::Whole,
        }
    }
}

/// Bytes of Kerberos that say what a message is: its length by TCP, and its first byte.
pub const KERBEROS_KIND: u32 = 4 + 1;
/// A message of Kerberos that is an error.
const KRB_ERROR: u8 = 0x7E;

/// Whether the message of Kerberos at `at` is an error: those hold no ticket.
#[inline(always)]
pub fn is_kerberos_error<B: Bytes + ?Sized>(packet: &B, at: u32) -> bool {
    packet.load(at) == Some([KRB_ERROR])
}

/// Where the name ends that a `ClientHello` of `len` bytes at `at` asks for, where hosts of tokens are called so.
#[inline(always)]
pub fn asks_for_tokens<B: Bytes + ?Sized>(packet: &B, at: u32, len: u32) -> Option<u32> {
    let [kind, _, _, _, _, message]: [u8; 6] = packet.load(at)?;
    if kind != content_type::HANDSHAKE || message != CLIENT_HELLO {
        return None;
    }
    // Its type comes before its length.
    let name = extension(packet, at, at + len, SERVER_NAME)? + 1;
    let size = u32::from(u16::from_be_bytes(packet.load(name)?));
    let (start, end) = (name + 2, name + 2 + size);
    let first: [u8; 4] = packet.load(start)?;
    let is_one = &first == b"logi"
        || &first == b"LOGI"
        || &first == b"adfs"
        || &first == b"sts."
        || size > REGION.len() as u32 && packet.load(end - REGION.len() as u32) == Some(*REGION);
    (is_one && size < MAX_NAME).then_some(end)
}

/// How Entra's hosts of a region end.
const REGION: &[u8; 20] = b".login.microsoft.com";
/// A name is shorter.
const MAX_NAME: u32 = 256;
/// `server_name` (RFC 6066 section 3).
const SERVER_NAME: u16 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    /// Two cipher suites, an extension without content, then the name.
    fn hello(name: &str) -> Vec<u8> {
        let len = name.len() as u16;
        let words = |words: &[u16]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_be_bytes()).collect()
        };
        let list = words(&[0, len + 5, len + 3]);
        let extensions = [
            &[0, 23, 0, 0][..],
            &list,
            &[0],
            &words(&[len]),
            name.as_bytes(),
        ]
        .concat();
        let tail = [&[1, 0][..], &words(&[extensions.len() as u16]), &extensions].concat();
        let body = [&[3; 34][..], &[0], &words(&[4, 1, 2]), &tail].concat();
        let message = [&[CLIENT_HELLO, 0, 0, body.len() as u8], &body[..]].concat();
        [&[22, 3, 1, 0, message.len() as u8], &message[..]].concat()
    }

    #[test]
    fn a_hello_to_a_host_of_tokens_is_known_up_to_its_name() {
        for name in [
            "login.microsoftonline.com",
            "sts.windows.net",
            "adfs.corp.test",
            "westus2.login.microsoft.com",
        ] {
            let hello = hello(name);
            let end = asks_for_tokens(&hello[..], 0, hello.len() as u32);
            assert_eq!(end, Some(hello.len() as u32), "{name}");
        }
        for name in ["www.example.com", "s.test", "microsoft.com"] {
            let hello = hello(name);
            assert_eq!(asks_for_tokens(&hello[..], 0, hello.len() as u32), None);
        }
        let whole = hello("login.windows.net");
        for len in 0..whole.len() - 18 {
            let cut = &whole[..len];
            assert_eq!(asks_for_tokens(cut, 0, len as u32), None, "{len}");
        }
    }

    #[test]
    fn any_program_may_speak_http_but_to_the_machines_own_endpoint() {
        assert_eq!(Care::of(port::HTTP, false), Care::Trouble);
        assert_eq!(Care::of(port::HTTP, true), Care::Whole);
        assert_eq!(Care::of(port::KERBEROS, false), Care::Whole);
        assert_eq!(Care::of(port::HTTPS, false), Care::Tokens);
    }
}
