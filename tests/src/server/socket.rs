//! The TCP side of one connection, and the wrap of a TLS handshake in TDS.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::faults::{Faults, Step};
use super::packet::{self, HEADER_LEN, kind};

/// A TCP stream under TLS or on its own.
///
/// While `wrap` is set, everything written goes out in packets of that type,
/// one message for every flush, and everything read is taken out of packets.
pub struct Socket {
    tcp: TcpStream,
    wrap: Option<u8>,
    /// Payload bytes of the wrapping packet that are still to be read.
    pending: usize,
    /// Bytes that were read to see what comes, and are not wrapped.
    unread: Vec<u8>,
    out: Vec<u8>,
    /// What to do before a flight of a handshake is answered, and where that is.
    handshake_fault: Option<(Faults, Step)>,
}

impl Socket {
    /// Takes a stream that neither wraps nor breaks anything.
    pub fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            wrap: None,
            pending: 0,
            unread: Vec::new(),
            out: Vec::new(),
            handshake_fault: None,
        }
    }

    /// The same connection once more, for what goes around TLS.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::new(self.tcp.try_clone()?))
    }

    /// The stream itself.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Starts a handshake: wrapped in packets of type `wrap`, or bare.
    pub fn begin_handshake(&mut self, wrap: Option<u8>, faults: Faults) {
        self.wrap = wrap;
        self.handshake_fault = Some((faults, Step::Tls));
    }

    /// Ends the wrap; records are bare from here on.
    pub fn end_handshake(&mut self) {
        self.wrap = None;
        self.handshake_fault = None;
    }

    /// The next byte, left where it is.
    pub fn peek(&mut self) -> io::Result<u8> {
        if let Some(byte) = self.unread.first() {
            return Ok(*byte);
        }
        let mut byte = [0];
        match self.tcp.peek(&mut byte)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(byte[0]),
        }
    }

    /// Waits until there is something to read, or until `wait` is over.
    pub fn readable(&mut self, wait: Duration) -> io::Result<bool> {
        if !self.unread.is_empty() {
            return Ok(true);
        }
        self.tcp
            .set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        let peeked = self.tcp.peek(&mut [0]);
        self.tcp.set_read_timeout(None)?;
        match peeked {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Says goodbye with a FIN, never with a reset, whatever is still unread.
    pub fn finish(&mut self) {
        // Either may fail on a connection that is gone, which is as good.
        self.tcp.shutdown(Shutdown::Write).ok();
        drain(&self.tcp, Duration::from_secs(2)).ok();
    }

    fn read_wrapped(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.pending == 0 {
            let mut first = [0];
            self.tcp.read_exact(&mut first)?;
            if first[0] != kind::PRELOGIN {
                // Some drivers send the last flight of TLS 1.3 without wrap.
                self.wrap = None;
                self.unread.extend(first);
                return self.read(into);
            }
            let mut rest = [0; HEADER_LEN - 1];
            self.tcp.read_exact(&mut rest)?;
            let length = usize::from(u16::from_be_bytes([rest[1], rest[2]]));
            self.pending = length
                .checked_sub(HEADER_LEN)
                .ok_or_else(|| packet::invalid("wrap shorter than its header"))?;
        }
        let wanted = into.len().min(self.pending);
        let count = self.tcp.read(&mut into[..wanted])?;
        self.pending -= count;
        Ok(count)
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.unread.is_empty() {
            let count = into.len().min(self.unread.len());
            into[..count].copy_from_slice(&self.unread[..count]);
            self.unread.drain(..count);
            return Ok(count);
        }
        if self.wrap.is_some() {
            self.read_wrapped(into)
        } else {
            self.tcp.read(into)
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        if let Some((faults, step)) = self.handshake_fault.take() {
            faults.at(step, &self.tcp)?;
            if step == Step::Tls {
                self.handshake_fault = Some((faults, Step::Finished));
            }
        }
        let out = std::mem::take(&mut self.out);
        match self.wrap {
            Some(kind) => self.tcp.write_all(&packet::packets(kind, &out, 0).concat()),
            None => self.tcp.write_all(&out),
        }
    }
}

/// Reads and forgets until the peer closes, for `limit` at most.
pub fn drain(tcp: &TcpStream, limit: Duration) -> io::Result<()> {
    let end = Instant::now() + limit;
    let mut tcp = tcp;
    let mut buffer = [0; 4096];
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        tcp.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        if tcp.read(&mut buffer)? == 0 {
            break;
        }
    }
    Ok(())
}
