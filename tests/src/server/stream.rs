//! One connection, clear or under TLS, as a carrier of messages.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use openssl::ssl::{Ssl, SslAcceptor, SslStream};

use super::faults::Faults;
use super::packet::{self, Link, Message};
use super::socket::Socket;

const TLS_APPLICATION_DATA: u8 = 0x17;

enum Layer {
    Clear(Socket),
    Tls(SslStream<Socket>),
    /// Between two layers.
    Gone,
}

/// A connection with its current encryption.
pub struct Stream {
    layer: Layer,
    /// Session id in the headers of what the server sends.
    pub spid: u16,
}

impl Stream {
    /// Starts in clear.
    pub fn new(tcp: TcpStream) -> Self {
        Self {
            layer: Layer::Clear(Socket::new(tcp)),
            spid: 0,
        }
    }

    /// The TCP side.
    pub fn socket(&mut self) -> io::Result<&mut Socket> {
        match &mut self.layer {
            Layer::Clear(socket) => Ok(socket),
            Layer::Tls(tls) => Ok(tls.get_mut()),
            Layer::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Puts TLS on; says with which version and cipher.
    pub fn start_tls(
        &mut self,
        acceptor: &SslAcceptor,
        wrap: Option<u8>,
        faults: &Faults,
    ) -> io::Result<String> {
        let Layer::Clear(mut socket) = std::mem::replace(&mut self.layer, Layer::Gone) else {
            return Err(packet::invalid("TLS inside TLS"));
        };
        socket.begin_handshake(wrap, faults.clone());
        let mut tls = SslStream::new(Ssl::new(acceptor.context())?, socket)?;
        let accepted = tls.accept();
        let ssl = tls.ssl();
        let cipher = ssl.current_cipher().map_or("none", |cipher| cipher.name());
        let facts = format!(
            "{} {cipher} resumed={}",
            ssl.version_str(),
            ssl.session_reused()
        );
        tls.get_mut().end_handshake();
        self.layer = Layer::Tls(tls);
        match accepted {
            Ok(()) => Ok(facts),
            Err(error) => Err(error.into_io_error().unwrap_or_else(io::Error::other)),
        }
    }

    /// Takes TLS off without a word (MS-TDS 3.2.5.3).
    pub fn stop_tls(&mut self) -> io::Result<()> {
        let clear = self.socket()?.try_clone()?;
        self.layer = Layer::Clear(clear);
        Ok(())
    }

    /// Reads a login packet of which only the first packet is encrypted, and
    /// leaves the connection in clear. Says whether the rest of a long login
    /// came inside TLS all the same.
    pub fn receive_login_only(&mut self) -> io::Result<(Message, bool)> {
        let first = packet::read_packet(self)?;
        let sealed_rest = !first.last && self.socket()?.peek()? == TLS_APPLICATION_DATA;
        if !sealed_rest {
            self.stop_tls()?;
        }
        let message = packet::read_message(self, Some(first))?;
        if sealed_rest {
            self.stop_tls()?;
        }
        Ok((message, sealed_rest))
    }

    /// Sends bytes that are no TDS packet, such as SMP.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.flush()
    }
}

impl Link for Stream {
    fn send(&mut self, kind: u8, payload: &[u8]) -> io::Result<()> {
        for packet in packet::packets(kind, payload, self.spid) {
            self.write_all(&packet)?;
        }
        self.flush()
    }

    fn receive(&mut self) -> io::Result<Message> {
        packet::read_message(self, None)
    }

    fn readable(&mut self, wait: Duration) -> io::Result<bool> {
        if let Layer::Tls(tls) = &self.layer
            && tls.ssl().pending() > 0
        {
            return Ok(true);
        }
        self.socket()?.readable(wait)
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Clear(socket) => socket.read(into),
            Layer::Tls(tls) => tls.read(into),
            Layer::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.layer {
            Layer::Clear(socket) => socket.write(bytes),
            Layer::Tls(tls) => tls.write(bytes),
            Layer::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.layer {
            Layer::Clear(socket) => socket.flush(),
            Layer::Tls(tls) => tls.flush(),
            Layer::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}
