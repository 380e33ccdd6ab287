//! Kerberos, bare or in SPNEGO: MIT's own library checks the ticket (MS-TDS 2.2.6.4, RFC 4121).

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use libgssapi::context::{SecurityContext as _, ServerCtx};

use super::packet::{Link, invalid, kind};
use super::token::Reply;

/// Takes a client's tokens until the library is content; the client's name, or why it is refused.
/// Every token of either side goes into `copies` too.
///
/// The last token is a message of its own, without which Microsoft's drivers do not take it.
pub fn accept(
    link: &mut impl Link,
    wide: bool,
    first: &[u8],
    copies: &mut Copies,
) -> io::Result<Result<String, String>> {
    let mut context = ServerCtx::new(None);
    let mut token = first.to_vec();
    loop {
        copies.keep(&token)?;
        let answer = match context.step(&token, None) {
            Ok(answer) => answer,
            Err(refused) => return Ok(Err(refused.to_string())),
        };
        if let Some(answer) = answer {
            copies.keep(&answer)?;
            let reply = Reply::new(wide).sspi(&answer);
            link.send(kind::REPLY, &reply.into_bytes())?;
        }
        if context.is_complete() {
            let name = context.source_name().map_err(io::Error::other)?;
            return Ok(Ok(name.to_string()));
        }
        let message = link.receive()?;
        if message.kind != kind::SSPI {
            let what = format!("{:#x} where a token was expected", message.kind);
            return Err(invalid(what));
        }
        token = message.payload;
    }
}

/// Where tokens are written for a test to know what must be nowhere else.
#[derive(Default)]
pub struct Copies(Option<File>);

impl Copies {
    /// Begins a file, if there is to be one.
    pub fn to(path: Option<&Path>) -> io::Result<Self> {
        path.map(File::create).transpose().map(Self)
    }

    fn keep(&mut self, token: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.0 else {
            return Ok(());
        };
        for byte in token {
            write!(file, "{byte:02x}")?;
        }
        writeln!(file)
    }
}
