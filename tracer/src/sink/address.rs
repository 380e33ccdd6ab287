//! Where receivers are, and connections to them.

use std::{
    fmt, io,
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs, UdpSocket},
    os::unix::net::UnixStream,
    path::PathBuf,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, StreamOwned, pki_types::ServerName,
};

/// How long a connection may take, and a write on it.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How long whoever takes TLS may need to say that it does not want this host's certificate.
const HEARING: Duration = Duration::from_secs(1);

/// Where a receiver is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system: `unix:/run/PATH`.
    Unix(PathBuf),
    /// `udp://HOST:PORT`.
    Udp(Host),
    /// `tcp://HOST:PORT`.
    Tcp(Host),
    /// `tls://HOST:PORT`.
    Tls(Host),
}

/// A host and a port on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name or address; an IPv6 address without brackets.
    pub name: String,
    /// TCP or UDP.
    pub port: u16,
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let complaint = || format!("`{text}` is no HOST:PORT");
        let (name, port) = text.rsplit_once(':').ok_or_else(complaint)?;
        let name = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name);
        let port = port.parse().ok().filter(|port| *port > 0);
        match port {
            Some(port) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                port,
            }),
            _ => Err(complaint()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        match text.split_once("://") {
            Some(("udp", host)) => Ok(Self::Udp(host.parse()?)),
            Some(("tcp", host)) => Ok(Self::Tcp(host.parse()?)),
            Some(("tls", host)) => Ok(Self::Tls(host.parse()?)),
            _ => Err(format!(
                "`{text}` is no address: use unix:/PATH, tcp://HOST:PORT, tls://HOST:PORT or udp://HOST:PORT"
            )),
        }
    }
}

impl Address {
    /// The port across the network.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Unix(_) => None,
            Self::Udp(host) | Self::Tcp(host) | Self::Tls(host) => Some(host.port),
        }
    }

    /// The socket in the file system.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Unix(path) => Some(path.clone()),
            Self::Udp(_) | Self::Tcp(_) | Self::Tls(_) => None,
        }
    }
}

/// A connection whose other end takes bytes, one after the other.
pub(super) trait Connection: Write + Send {
    /// Whether the other end has left, as far as that is known without waiting. What it says is thrown away.
    fn has_left(&mut self) -> bool;
}

impl Connection for TcpStream {
    fn has_left(&mut self) -> bool {
        has_left(self, Self::set_nonblocking)
    }
}

impl Connection for UnixStream {
    fn has_left(&mut self) -> bool {
        has_left(self, Self::set_nonblocking)
    }
}

impl Connection for StreamOwned<ClientConnection, TcpStream> {
    fn has_left(&mut self) -> bool {
        has_left(self, |stream, on| stream.sock.set_nonblocking(on))
    }
}

fn has_left<S: Read>(stream: &mut S, blocks_not: impl Fn(&S, bool) -> io::Result<()>) -> bool {
    if blocks_not(stream, true).is_err() {
        return true;
    }
    let mut said = [0; 512];
    let left = loop {
        match stream.read(&mut said) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) => break error.kind() != io::ErrorKind::WouldBlock,
        }
    };
    left || blocks_not(stream, false).is_err()
}

/// Opens a connection there.
pub(super) fn connect(
    address: &Address,
    tls: Option<&Arc<ClientConfig>>,
) -> io::Result<Box<dyn Connection>> {
    match address {
        Address::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(Box::new(stream))
        }
        Address::Tcp(host) | Address::Udp(host) => Ok(Box::new(tcp(host)?)),
        Address::Tls(host) => {
            let tls = tls.ok_or_else(|| io::Error::other("nothing is known of TLS"))?;
            let name = ServerName::try_from(host.name.clone()).map_err(io::Error::other)?;
            let session = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(session, tcp(host)?);
            while stream.conn.is_handshaking() {
                stream.conn.complete_io(&mut stream.sock)?;
            }
            hear(&mut stream)?;
            Ok(Box::new(stream))
        }
    }
}

/// Whoever does not want this host's certificate, or misses one, says so after the handshake (RFC 8446 section 4.4.2.4):
/// what was sent by then is lost. Others have a ticket to say, or say nothing.
fn hear(stream: &mut StreamOwned<ClientConnection, TcpStream>) -> io::Result<()> {
    if stream.conn.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return Ok(());
    }
    stream.sock.set_read_timeout(Some(HEARING))?;
    let heard = match stream.conn.read_tls(&mut stream.sock) {
        Ok(0) => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it leaves after the TLS handshake, as one does that wants another certificate",
        )),
        Ok(_) => stream
            .conn
            .process_new_packets()
            .map(drop)
            .map_err(io::Error::other),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(error),
    };
    stream.sock.set_read_timeout(Some(PATIENCE))?;
    heard
}

fn tcp(host: &Host) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host.name.as_str(), host.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A socket that sends datagrams there.
pub(super) fn datagrams(host: &Host) -> io::Result<UdpSocket> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host.name.as_str(), host.port).to_socket_addrs()? {
        let any = if address.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let socket = UdpSocket::bind(any)?;
        match socket.connect(address) {
            Ok(()) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_path_or_a_host_with_its_port() {
        let host = |name: &str, port| Host {
            name: name.to_owned(),
            port,
        };
        for (text, address) in [
            ("unix:/run/x", Address::Unix("/run/x".into())),
            ("unix:///run/x", Address::Unix("/run/x".into())),
            ("udp://logs:514", Address::Udp(host("logs", 514))),
            (
                "tcp://192.0.2.1:9000",
                Address::Tcp(host("192.0.2.1", 9000)),
            ),
            (
                "tls://[2001:db8::1]:6514",
                Address::Tls(host("2001:db8::1", 6514)),
            ),
        ] {
            assert_eq!(text.parse(), Ok(address));
        }
        for wrong in [
            "logs:514",
            "tcp://logs",
            "tcp://logs:0",
            "tcp://:1",
            "ftp://x:1",
        ] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
        assert_eq!(host("2001:db8::1", 1).to_string(), "[2001:db8::1]:1");
    }
}
