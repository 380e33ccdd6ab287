//! JSON lines for whoever listens at a socket: Vector's `socket` source, Fluent Bit's `tcp` input, `nc`.

use std::{io, io::Write as _, sync::Arc};

use tokio_rustls::rustls::ClientConfig;

use super::{
    address::{Address, Connection, connect},
    deliver::{Deliver, Delivered, Trouble},
    line::Line,
    tls::Tls,
};

/// As it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketReceiver {
    /// Where it listens; by datagrams it does not.
    pub address: Address,
    /// For `tls://`.
    pub tls: Tls,
}

impl SocketReceiver {
    pub(super) fn open(&self) -> io::Result<Box<dyn Deliver>> {
        let stream = StreamTo::new(self.address.clone(), &self.tls)?;
        Ok(Box::new(Lines { stream }))
    }
}

struct Lines {
    stream: StreamTo,
}

impl Deliver for Lines {
    fn deliver(&mut self, lines: &[Line]) -> Result<Delivered, Trouble> {
        let bytes: Vec<_> = lines.iter().flat_map(|line| &line.bytes).copied().collect();
        self.stream.send(&bytes)?;
        Ok(Delivered::default())
    }
}

/// A connection that is opened anew when it has broken.
pub(super) struct StreamTo {
    address: Address,
    tls: Option<Arc<ClientConfig>>,
    connection: Option<Box<dyn Connection>>,
    /// What was sent last: whether the other end has read it is known only by its not having left.
    last: Vec<u8>,
}

impl StreamTo {
    pub(super) fn new(address: Address, tls: &Tls) -> io::Result<Self> {
        let tls = match address {
            Address::Tls(_) => Some(tls.open(&[])?),
            _ => None,
        };
        Ok(Self {
            address,
            tls,
            connection: None,
            last: Vec::new(),
        })
    }

    /// Sends all of it. Where the connection has broken since the last time, what was sent then comes again first.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.connection.as_mut().is_some_and(|one| one.has_left()) {
            self.connection = None;
        }
        let is_new = self.connection.is_none();
        let connection = if let Some(connection) = &mut self.connection {
            connection
        } else {
            let opened = connect(&self.address, self.tls.as_ref())?;
            self.connection.insert(opened)
        };
        let again = if is_new { &self.last[..] } else { &[] };
        let sent = connection
            .write_all(again)
            .and_then(|()| connection.write_all(bytes))
            .and_then(|()| connection.flush());
        match sent {
            Ok(()) => {
                self.last.clear();
                self.last.extend(bytes);
            }
            // Half a line may have gone; the other end gets it whole from a connection of its own.
            Err(_) => self.connection = None,
        }
        sent
    }
}
