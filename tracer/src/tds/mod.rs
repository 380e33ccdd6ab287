//! What the bytes of a login mean: pure decoders of MS-TDS, LOGIN7, tokens, TLS, SSPI and SMP, and of
//! the question to SQL Browser before it.
//!
//! Every decoder takes a complete message body (packet headers stripped, packets joined) and gives
//! back what is readable. The kernel withholds secrets, which arrive as zeros, and stops copying at
//! a budget, so a body may end early: such a result says `truncated` and leaves out what it could
//! not see. Nothing here does I/O, reads a clock, panics, or keeps a secret.
//!
//! | module | what it decodes |
//! |---|---|
//! | [`browser`] | what SQL Browser is asked and answers, before there is a connection |
//! | [`prelogin`] | PRELOGIN of both sides: versions, encryption, MARS, trace identifiers |
//! | [`encryption`] | what the two PRELOGIN encryption options agree on |
//! | [`login7`] | LOGIN7: who asks for what, never the password |
//! | [`pre7`] | the login record of TDS 4.2 and 5.0, recognised only |
//! | [`token`] | the token stream of a reply, as far as it can be walked |
//! | [`fedauth`] | FEDAUTHINFO: where a token is to be fetched |
//! | [`tls`] | one direction of a TLS handshake, whatever it is wrapped in |
//! | [`certificate`] | the facts of a server certificate |
//! | [`spnego`] | which mechanism an SSPI message speaks |
//! | [`ntlm`] | the three NTLM messages, without challenge and responses |
//! | [`smp`] | the SMP frames of MARS |
//! | [`user_agent`] | what a driver says of itself in LOGIN7 |
//! | [`version`] | TDS versions as LOGIN7 and LOGINACK write them |

pub mod browser;
pub mod certificate;
pub mod encryption;
pub mod fedauth;
pub mod login7;
pub mod ntlm;
pub mod pre7;
pub mod prelogin;
mod reader;
#[cfg(test)]
mod robustness;
pub mod smp;
pub mod spnego;
pub mod tls;
pub mod token;
pub mod user_agent;
pub mod version;

/// A message that is not what its packet type says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Malformed {
    /// Offset into the message body, in bytes.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}
